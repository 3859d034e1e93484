"""Price a recording block by block, in one process, in several, or on a cluster."""
