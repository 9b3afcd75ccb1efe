"""The annotation page: a small server around annotation sessions (extra ``webui``)."""
