"""The WeChat platform as far as sign-in goes, over loopback HTTP; imports nothing of the house."""
