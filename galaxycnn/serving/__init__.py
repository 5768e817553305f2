"""``galaxycnn serve``: a web page and an HTTP endpoint for one saved network or ensemble.

The page is a client of the endpoint and nothing else, so that both always say the same. It is made with FastAPI and a
few plain files because those who made frameworks for such pages had other aims: NiceGUI 3.18 runs inline scripts and
code from strings in the browser, which the content security policy here forbids, and brings 24 packages more; Gradio
saves what is uploaded in a cache on disk, while here nothing outlives its request.

- ``limits.py``: what a client may ask for; ``uploads.py``: files of a request, in memory; ``checking.py``: their type
  and their number of pixels, before they are decoded
- ``predictor.py``: the networks, one job at a time; ``replies.py``: what is said; ``pictures.py``: what is shown
- ``flow.py``: votes flowing down the decision tree, as SVG; ``examples.py``: simulated galaxies
- ``app.py``: the routes; ``server.py``: the address; ``page/``: the files that the browser gets

Example, with a server at its default address::

    curl -F files=@galaxy.jpg http://127.0.0.1:8000/api/predict
    curl -F file=@galaxy.jpg -F question=bar http://127.0.0.1:8000/api/explain -o bar.png
"""
