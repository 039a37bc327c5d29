"""How the demo looks: one accent colour, system fonts, white space; light and dark."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

SYSTEM = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "monospace"]


def theme() -> gr.themes.Base:
    """Gradio's plain theme with an indigo accent, no shadows and quiet labels."""
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
        font=SYSTEM,
        font_mono=MONO,
    )
    return base.set(
        body_background_fill="white",
        body_background_fill_dark="#0f141c",
        background_fill_primary_dark="#161d28",
        background_fill_secondary_dark="#121822",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        input_background_fill_dark="#1d2633",
        border_color_primary="#e2e8f0",
        border_color_primary_dark="#2c3848",
        block_border_width="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_border_width_dark="0px",
        block_label_text_weight="600",
        block_title_text_weight="600",
        block_title_text_size="*text_sm",
        block_info_text_size="*text_sm",
        body_text_color_subdued="#5b6675",  # 4.5 : 1 and more against the page, as WCAG asks
        body_text_color_subdued_dark="#9aa7b8",
        color_accent="*primary_600",
        block_info_text_color="#5b6675",
        block_info_text_color_dark="#9aa7b8",
        layout_gap="16px",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_hover="*neutral_100",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_border_width="1px",
        checkbox_label_border_color="#e2e8f0",
        checkbox_label_border_color_dark="#2c3848",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_background_fill_hover_dark="#1d2633",
        checkbox_label_background_fill_selected_dark="#26304a",
        checkbox_label_padding="6px 11px",
        button_secondary_background_fill="#eef1f6",
        button_secondary_background_fill_hover="#e2e8f0",
        button_secondary_background_fill_dark="#232d3c",
        button_secondary_background_fill_hover_dark="#2c3848",
        button_large_padding="10px 18px",
        input_border_width="1px",
    )


CSS = Path(__file__).with_name("style.css")
