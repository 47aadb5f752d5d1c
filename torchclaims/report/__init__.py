"""What a run says: records of cells, the verdict on claims, and their faces."""
