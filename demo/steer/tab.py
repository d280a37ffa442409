"""The Steer tab: topics and their words with a live try, classifiers, and how hard to steer."""

import gradio as gr

from demo.parts.views import Page
from demo.services import Services
from demo.steer.discriminators import discriminators_section
from demo.steer.strength import strength_section
from demo.steer.topics import topics_section


def steer_tab(services: Services, page: Page) -> None:
    with gr.Column(elem_classes="stack"):
        topics_section(services, page)
        discriminators_section(services, page)
        strength_section(services, page)
