"""`k2conn serve`: the records that sinks have written, over HTTP.

- `settings`: ``K2_API_*``; `server`: uvicorn, bounded; `application`: what is served, as FastAPI has it
- `guard`: what stands before every request: its id, its host, its key, its rate, its size, its line in the log
- `asked`: a question; `parameters`, `cursors`: how one is said in an address; `wire`: how a record is said in JSON
- `store`: what answers questions; `stores/`: PostgreSQL, the lake, the files of the file sink
- `live/`: records as they come, of Kafka or of the end of the store, handed to every listener
- `routes/`: one file for each group of paths

Routes follow from the record types: a record type of your own has its paths, too.
"""
