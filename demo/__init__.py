"""The web page: what a person sees and presses. The only package that imports gradio."""
