"""Layers that stay fast under a node axis: products, convolutions, pools."""
