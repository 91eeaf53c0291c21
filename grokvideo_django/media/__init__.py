"""Finished videos: may they be fetched, fetching them, reading them, giving them away, serving them.

fetch       one finished video: planned, downloaded, checked, stored, captured
addresses   which URLs and addresses may be connected to; pure
download    one URL into an open file, within limits of bytes and time
probe       what an MP4 says about itself, read without a decoder; ``boxes`` walks over the file
poster      one frame as a JPEG, when PyAV is installed
attach      a stored video for the object that it was made for
sweep       deletes the planned files of dead workers
links       permanent addresses of stored videos
ranges      a stored file as an answer to an HTTP Range request
"""
