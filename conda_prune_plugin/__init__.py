"""`conda prune`: a garbage collector for conda's package caches."""
