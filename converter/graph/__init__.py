"""ONNX graphs on onnx_ir: reading and writing files (io), typed reads (query), the only edits (edit), facts (ops)."""
