"""Video clips: decoding in a separate process, choice of frames, a cache of decoded frames.

FFmpeg is hundreds of thousands of lines of C, and a damaged or hostile file can make it hang, crash or
allocate gigabytes. No process of a run therefore decodes a clip itself. Each has one `ClipReader`
(`reader.py`), which starts a small child process (`reader_process.py`) under a limit of memory and of time.
The child knows PyAV and NumPy only: `container.py` reads packets and frames, `scaling.py` turns a frame into
pixels, `messages.py` is what both sides send. Whatever a file does to the child, the reader raises one
DataError that names the file, and starts another child for the next clip.

`frame_choice.py` says which frames a network reads. `clips.py` is what the rest of the package uses: the
media type of clips and the frames of a split. `frame_cache.py` keeps decoded frames on disk for later epochs.
"""
