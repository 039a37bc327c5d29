"""Assembles the demo: title, tabs, events, API."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from app import stolen as imitation
from app import to_study
from app.demo import (
    about,
    authority,
    compare,
    endpoints,
    eraser,
    forge,
    models,
    panel,
    protect,
    pull,
    stolen,
    tour,
    wires,
)
from app.demo.api_base import cancel
from app.demo.asked import Asked
from app.demo.authority_events import AuthorityEvents
from app.demo.calls import fault
from app.demo.compare_events import CompareEvents
from app.demo.controls import Controls
from app.demo.eraser_events import EraserEvents
from app.demo.example import Example
from app.demo.forge_events import ForgeEvents
from app.demo.line import EVENTS, Line
from app.demo.panel_events import PanelEvents
from app.demo.photo_events import PhotoEvents
from app.demo.protect_events import RunEvents
from app.demo.room import room
from app.demo.session import Desk
from app.demo.setting_events import SettingEvents
from app.demo.theme import CSS, theme
from app.demo.tools import Tools
from app.demo.uploads import Uploads, keep_apart
from app.demo.visitor import Owners, Visitors
from app.demo.vitals import Vitals
from app.runtime import Runtime

PAGE = Path(__file__).with_name("page.js").read_text()
TITLE = (
    '<div class="lv-title"><h1>Larvatus</h1><p>Change a photo so slightly that people still see you, '
    "and see whether face recognition still does.</p>{studies}</div>"
)


def build(runtime: Runtime) -> gr.Blocks:
    """The whole demo on one runtime. LARVATUS_EXAMPLE=0 leaves the first screen's example out."""
    keep_apart()
    desk = Desk(room())
    example = Example(runtime) if os.environ.get("LARVATUS_EXAMPLE", "1") != "0" else None
    controls = Controls()
    with gr.Blocks(title="Larvatus", analytics_enabled=False, delete_cache=(600, 3600), fill_width=True) as demo:
        with gr.Row(elem_id="lv-top"):
            gr.HTML(TITLE.format(studies=_studies()), padding=False, js_on_load=PAGE)
            guide = tour.draw(_tabs())
            opener = panel.button(runtime)
        with gr.Tabs() as tabs:
            with gr.Tab("Protect", id="protect"):
                view = protect.draw(controls)
            forgery = _forge_tab()
            with gr.Tab("Authority", id="authority") as authority_tab:
                office, eraser_tabs, eraser_view, thieves = _authority()
            with gr.Tab("Compare", id="compare") as compare_tab:
                matrix = compare.draw()
            with gr.Tab("Models", id="models") as models_tab:
                shelf = models.draw(runtime)
            with gr.Tab("About & privacy", id="about"):
                about.draw(desk)
        endpoints.add(runtime, desk)
        width = gr.Number(visible="hidden", elem_id="lv-width")
        side = panel.draw(runtime, opener)
        panels = PanelEvents(runtime, side, [side.box, shelf.box])
        run = RunEvents(runtime, view, side, controls, desk, example)
        guide.click(tour.tab_of, None, tabs, queue=False, trigger_mode="multiple", **wires.QUIET)
        wires.run(demo, view, run, controls, width)
        wires.photos(view, PhotoEvents(runtime, view, panels, controls, desk), controls)
        wires.settings(view, SettingEvents(view, controls, desk), controls)
        wires.panel(demo, view, side, panels)
        if forgery is not None:
            forge_tab, wall = forgery
            wires.forge(tabs, forge_tab, view, ForgeEvents(runtime, wall, desk))
        wires.authority(tabs, authority_tab, view, AuthorityEvents(runtime, office, desk))
        if eraser_view is not None:
            wires.eraser((tabs, eraser_tabs), view, EraserEvents(runtime, eraser_view, desk))
        lent = compare.Borrowed(view.far, view.targets, side.attacked, side.held_out)
        wires.compare(compare_tab, view, CompareEvents(runtime, matrix, desk, lent, controls), panels)
        if thieves is not None:
            wires.stolen(stolen.StolenEvents(runtime, thieves))
        reading = {"fn": lambda: models.read(runtime, shelf), "outputs": shelf.everything, **wires.LIGHT}
        models_tab.select(**reading)
        for box in panels.boxes:
            wires.box(box, pull.PullEvents(runtime, box, desk)).then(**wires.anew(view, side, panels)).then(**reading)
    demo.queue(max_size=EVENTS)
    desk.sweep()
    if example is not None:
        example.start()
    return demo


def _tabs() -> set[str]:
    """Ids of the tabs that there are."""
    return {"protect", "authority", "compare", "models", "about"} | ({"forge"} if forge.offered() else set())


def _studies() -> str:
    """The way to the study workbench, where its address is known."""
    where = escape(to_study.address(), quote=True)
    return f'<a class="lv-studies" href="{where}" target="_blank">User studies</a>' if where else ""


def launch_options(demo: gr.Blocks, runtime: Runtime) -> dict[str, Any]:
    """What launch() needs beside the address. Gradio's record of runs in the browser is off."""
    owners = Owners()
    guards = [
        Middleware(Vitals, demo=demo, runtime=runtime),
        Middleware(Visitors, root=room(), owners=owners),
        Middleware(Uploads, root=room()),
        Middleware(
            Asked,
            root=room(),
            fault=lambda path, event: fault(path, event, runtime.cards),
            wait=Line(demo).wait,
            cancel=lambda event: cancel(event, owners),
        ),
        Middleware(Tools),
    ]
    return {
        "app_kwargs": {"middleware": guards},
        "theme": theme(),
        "css_paths": [CSS],
        "max_file_size": "25mb",
        "share": False,
        "allowed_paths": [],
        "footer_links": ["api"],
        "run_history": False,
        "quiet": True,
        "show_error": False,
    }


def _authority() -> tuple[authority.AuthorityView, Any, eraser.EraserView | None, stolen.StolenView | None]:
    """Reading a mark, and beside it taking a mask off, where a method puts one on."""
    if not eraser.erasers():
        return authority.draw(), None, None, None
    with gr.Tabs() as tabs:
        with gr.Tab("Read a mark", id="read"):
            office = authority.draw()
        with gr.Tab("Take a mask off", id="erase"):
            view = eraser.draw()
        thieves = None
        if imitation.offered():
            with gr.Tab("A stolen model", id="stolen"):
                thieves = stolen.draw()
    return office, tabs, view, thieves


def _forge_tab() -> tuple[Any, forge.ForgeView] | None:
    """The tab, where it is offered."""
    if not forge.offered():
        return None
    with gr.Tab("Forge", id="forge") as tab:
        return tab, forge.draw()
