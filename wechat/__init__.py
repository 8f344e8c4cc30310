"""The WeChat platform behind `wechat.port`."""
