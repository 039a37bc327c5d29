"""The entry of Hugging Face Spaces and `make demo`: build the runtime once, build the demo, launch."""

import os

from app.demo import build, launch_options
from app.runtime import Runtime

if __name__ == "__main__":
    runtime = Runtime()
    demo = build(runtime)
    host = "0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1"
    name = os.environ.get("GRADIO_SERVER_NAME", host)
    port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
    print(f"Larvatus: http://{name}:{port}", flush=True)
    demo.launch(server_name=name, server_port=port, **launch_options(demo, runtime))
