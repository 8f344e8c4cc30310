"""The patients' door: WeChat H5 portal."""
