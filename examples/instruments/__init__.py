"""The instruments of a sound font by what they are called: stage 2, tested on another font."""
