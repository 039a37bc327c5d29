"""How the demo looks: one accent colour, system fonts, white space; light and dark."""

from __future__ import annotations

import gradio as gr

SYSTEM = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "monospace"]


def theme() -> gr.themes.Base:
    """Gradio's plain theme with an indigo accent, no shadows and quiet labels."""
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.indigo, neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md, spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md, font=SYSTEM, font_mono=MONO,
    )
    return base.set(
        body_background_fill="white", body_background_fill_dark="#0f141c",
        background_fill_primary_dark="#161d28", background_fill_secondary_dark="#121822",
        block_background_fill="transparent", block_background_fill_dark="transparent",
        input_background_fill_dark="#1d2633",
        border_color_primary="#e2e8f0", border_color_primary_dark="#2c3848",
        block_border_width="0px", block_shadow="none", block_shadow_dark="none", block_padding="0px",
        block_label_background_fill="transparent", block_label_background_fill_dark="transparent",
        block_label_border_width="0px", block_label_border_width_dark="0px",
        block_label_text_weight="600", block_title_text_weight="600", block_title_text_size="*text_sm",
        block_info_text_size="*text_sm", block_info_text_color="#5b6675", block_info_text_color_dark="#9aa7b8", layout_gap="16px",
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_500", button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white", checkbox_label_background_fill="transparent", checkbox_label_background_fill_hover="*neutral_100",
        checkbox_label_background_fill_selected="*primary_50", checkbox_label_border_width="1px",
        checkbox_label_border_color="#e2e8f0", checkbox_label_border_color_dark="#2c3848",
        checkbox_label_background_fill_dark="transparent", checkbox_label_background_fill_hover_dark="#1d2633",
        checkbox_label_background_fill_selected_dark="#26304a", checkbox_label_padding="6px 11px",
        button_secondary_background_fill="#eef1f6", button_secondary_background_fill_hover="#e2e8f0",
        button_secondary_background_fill_dark="#232d3c", button_secondary_background_fill_hover_dark="#2c3848",
        button_large_padding="10px 18px", input_border_width="1px",
    )


CSS = """
.gradio-container { overflow: visible !important; max-width: 1320px !important; margin: 0 auto !important; padding: 0 20px 40px !important; }
:root, .light { --lv-accent: #4f46e5; --lv-warn: #b45309; --lv-quiet: #5b6675; --lv-line: #e2e8f0; --lv-soft: #f6f7fb; }
.dark { --lv-accent: #a5b4fc; --lv-warn: #fbbf24; --lv-quiet: #9aa7b8; --lv-line: #2c3848; --lv-soft: #161d28; }

.lv-title { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px; padding: 18px 0 4px; }
.lv-title h1 { font-size: 1.5rem; font-weight: 700; margin: 0; letter-spacing: -0.01em; }
.lv-title p { margin: 0; color: var(--lv-quiet); }
.lv-quiet { color: var(--lv-quiet); font-size: .86rem; line-height: 1.45; }
.lv-quiet p, .lv-quiet { margin: 0; }
.lv-head { font-weight: 600; font-size: .95rem; margin: 0 0 2px; }

.gradio-container main, .gradio-container .main, #lv-columns { width: 100% !important; }
#lv-columns { flex-wrap: nowrap; gap: 28px; }
#lv-left { flex: 0 0 400px !important; min-width: 0 !important; } #lv-right { flex: 1 1 0 !important; min-width: 0 !important; }
#lv-curves, #lv-curves .js-plotly-plot { width: 100%; }
/* Cancelling ends in what Gradio calls an error; what happened is said in words instead. */
#lv-status [data-testid=status-tracker] .error, #lv-status [data-testid=status-tracker] .clear-status { display: none; }
#lv-photo img { border-radius: 8px; cursor: pointer; }
#lv-photo, #lv-slider { overflow: hidden; }
#lv-photo .icon-button-wrapper { display: none; }
.lv-link { background: none !important; border: 0 !important; padding: 0 !important; align-self: flex-start;
  width: auto !important; min-width: 0 !important; font-weight: 400 !important; text-decoration: underline;
  color: var(--lv-quiet) !important; font-size: .86rem !important; }
.lv-drop { border: 1.5px dashed var(--lv-line) !important; border-radius: 8px !important; }
.lv-drop [data-testid=upload-text] { font-size: 0 !important; min-height: 0 !important; padding: 4px 0 !important; }
.lv-drop [data-testid=upload-text] * { display: none; }
.lv-drop [data-testid=upload-text]::after { content: "Drop a photo here, or choose one"; font-size: .9rem; color: var(--body-text-color); }
#lv-extra [data-testid=upload-text]::after { content: "Add your own target photos"; }
#lv-reference [data-testid=upload-text]::after { content: "Add another photo of the same person"; }
#lv-left .form { gap: 16px; background: transparent; border: 0; } #lv-left .styler { background: transparent; }
#lv-left button.label-wrap, #lv-right button.label-wrap { text-align: left; font-weight: 600; gap: 12px; }
button.label-wrap > span:last-of-type { flex: none; }
footer img, footer .divider { display: none !important; }
.lv-drop button { min-height: 0 !important; padding: 6px !important; font-size: .9rem; }

.lv-action { flex: none !important; position: sticky; bottom: 0; z-index: 20; padding: 10px 0 12px; background: var(--body-background-fill);
  border-top: 1px solid var(--lv-line); }
.lv-action > div { overflow: visible; }
.lv-status { min-height: 1.5em; overflow: visible !important; }
.lv-status [role=alert] { border-left: 3px solid var(--lv-warn); padding: 6px 10px; background: var(--lv-soft);
  border-radius: 4px; }
.lv-bar { height: 6px; border-radius: 3px; background: var(--lv-line); overflow: hidden; margin-top: 6px; }
.lv-bar > i { display: block; height: 100%; background: var(--lv-accent); transition: width .3s; }

.lv-verdict { font-size: 1.22rem; line-height: 1.4; font-weight: 600; margin: 0; }
.lv-caption { color: var(--lv-quiet); font-size: .86rem; margin: 4px 0 0; }
.lv-scroll { overflow-x: auto; max-width: 100%; }
table.lv-table { width: 100%; border-collapse: collapse; font-size: .92rem; border: 0 !important; }
table.lv-table th, table.lv-table td, table.lv-table tr { border: 0 solid var(--lv-line) !important; background: none !important; }
table.lv-table th { text-align: left; font-weight: 600; color: var(--lv-quiet); font-size: .8rem; padding: 6px 14px 6px 0 !important;
  border-bottom-width: 1px !important; vertical-align: bottom; }
table.lv-table td { padding: 9px 14px 9px 0 !important; border-bottom-width: 1px !important; vertical-align: top; }
table.lv-table small { display: block; color: var(--lv-quiet); font-size: .8rem; }
.lv-num { font-variant-numeric: tabular-nums; white-space: nowrap; }
.lv-yes, .lv-no { white-space: nowrap; font-weight: 600; }
.lv-yes { color: var(--lv-warn); } .lv-no { color: var(--lv-accent); }
.lv-scale { position: relative; height: 8px; min-width: 90px; border-radius: 4px; background: var(--lv-line); margin: 6px 0 3px; }
.lv-scale > b { position: absolute; top: 0; height: 100%; border-radius: 4px; }
.lv-scale > i { position: absolute; top: -4px; width: 2px; height: 16px; background: currentColor; }
.lv-figures { display: flex; flex-wrap: wrap; gap: 4px 28px; margin: 10px 0 0; }
.lv-figures span { white-space: nowrap; }

.lv-tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); gap: 14px; }
.lv-tiles figure, .lv-pairs figure { margin: 0; font-size: .84rem; line-height: 1.4; }
.lv-tiles img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 6px; display: block; margin-bottom: 4px; }
.lv-pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 18px; }
.lv-pairs .lv-two { display: flex; gap: 6px; } .lv-pairs .lv-two div { flex: 1; min-width: 0; }
.lv-pairs img { width: 100%; border-radius: 6px; display: block; }
.lv-ramp { display: flex; align-items: center; gap: 8px; margin-top: 10px; }
.lv-ramp i { flex: 0 0 140px; height: 8px; border-radius: 4px;
  background: linear-gradient(90deg, #000004, #57106e, #bc3754, #f98e09, #fcffa4); }
.lv-faces { display: flex; flex-wrap: wrap; gap: 12px; }
.lv-faces figure { margin: 0; width: 92px; font-size: .78rem; text-align: center; line-height: 1.25; }
.lv-faces img { width: 64px; height: 64px; border-radius: 50%; object-fit: cover; display: block; margin: 0 auto 4px; }
.lv-prov { font-family: var(--font-mono); font-size: .78rem; overflow-wrap: anywhere; white-space: pre-wrap; margin: 6px 0 0; }
.lv-prose { max-width: 70ch; }
.lv-prose h2 { font-size: 1.05rem; margin: 22px 0 6px; }

@media (max-width: 760px) {
  .gradio-container { padding: 0 14px 32px !important; }
  #lv-columns { flex-direction: column; flex-wrap: nowrap; gap: 14px; }
  #lv-columns > #lv-left, #lv-columns > #lv-right { display: contents; }
  #lv-columns > #lv-left > * { order: 9; } #lv-columns > #lv-right > * { order: 8; }
  #lv-columns > * > * { min-width: 0; max-width: 100%; }
  #lv-columns > * > #lv-photo-box { order: 1; } #lv-columns > * > #lv-method-box { order: 2; }
  #lv-columns > * > #lv-action { order: 3; position: static; border: 0; padding: 0; }
  #lv-columns > * > #lv-verdict { order: 4; } #lv-columns > * > #lv-view { order: 5; }
  #lv-columns > * > #lv-slider { order: 6; } #lv-columns > * > #lv-save { order: 7; }
  table.lv-board, table.lv-board tbody, table.lv-board tr, table.lv-board td { display: block; }
  table.lv-board thead { display: none; }
  table.lv-board td { border-width: 0 !important; padding: 3px 0 !important; }
  table.lv-board tr { border-bottom-width: 1px !important; padding: 8px 0; }
  .tab-container button { padding: 0 9px !important; }
  table.lv-board td[data-head]::before { content: attr(data-head) ": "; color: var(--lv-quiet); font-size: .8rem; }
}
"""
