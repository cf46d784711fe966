"""DICOM files: elements, facts, pixels in HU, series and their lists."""
