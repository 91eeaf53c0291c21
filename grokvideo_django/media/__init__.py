"""Finished videos: may they be fetched, fetching them, reading them, serving them.

addresses   which URLs and addresses may be connected to; pure
download    one URL into an open file, within limits of bytes and time
probe       what an MP4 says about itself, read without a decoder
poster      one frame as a JPEG, when PyAV is installed
ranges      a stored file as an answer to an HTTP Range request
"""
