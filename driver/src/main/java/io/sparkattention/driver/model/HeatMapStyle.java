package io.sparkattention.driver.model;

/** The look of a heat map page; no character in it needs escaping in HTML or XML. */
final class HeatMapStyle {
  /** Of all weights, in cells and pictures: readable on light and on dark. */
  static final int COLOUR = 0x2f7fd6;

  static final String CSS =
      """
      :root { color-scheme: light dark; --page: #ffffff; --card: #f6f7f9; --text: #1c2128;
        --faint: #5b6470; --line: #d5dae1; --weight: #2f7fd6; --target: #b4541a; --rival: #7a5bb5; }
      @media (prefers-color-scheme: dark) { :root { --page: #14171c; --card: #1d2128;
        --text: #e4e7eb; --faint: #9aa4b1; --line: #353b45; --target: #f0955a; --rival: #b59cec; } }
      * { box-sizing: border-box; }
      body { margin: 0 auto; padding: 2rem 1.5rem 3rem; max-width: 76rem; background: var(--page);
        color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
      h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
      h2 { font-size: 1.15rem; margin: 2.4rem 0 .3rem; }
      p { margin: .3rem 0 .8rem; max-width: 54rem; }
      .faint, figcaption, caption { color: var(--faint); }
      .text { font-size: 1.15rem; padding: .7rem 1rem; background: var(--card);
        border-left: 4px solid var(--line); overflow-wrap: anywhere; }
      .source { font-weight: 700; text-decoration: underline; }
      .target { font-weight: 700; color: var(--target); }
      .rival { font-weight: 700; color: var(--rival); }
      .note { padding: .7rem 1rem; background: var(--card); border-left: 4px solid var(--target); }
      .wide { overflow-x: auto; }
      table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
      .ranking th, .ranking td { padding: .25rem .9rem .25rem 0; text-align: right;
        border-bottom: 1px solid var(--line); white-space: nowrap; }
      .ranking th { color: var(--faint); font-weight: 600; vertical-align: bottom; }
      .ranking .left { text-align: left; }
      .bar { display: inline-block; height: .7rem; background: var(--target); }
      .bar.rival { background: var(--rival); }
      .track { display: inline-block; width: 9rem; text-align: left; margin-left: .6rem; }
      summary { cursor: pointer; margin: .8rem 0; color: var(--faint); }
      .maps { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr));
        gap: 1.2rem; }
      figure { margin: 0; padding: 1rem; background: var(--card); }
      figcaption { margin-bottom: .5rem; }
      figcaption b { color: var(--text); }
      svg { display: block; width: 100%; height: auto; }
      svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
      svg text.axis { fill: var(--faint); font-size: 11px; }
      svg .cell { fill: var(--weight); }
      svg .cell:hover { stroke: var(--text); stroke-width: 1.5; }
      svg .pixels { image-rendering: pixelated; }
      svg .arc { fill: none; stroke: var(--weight); }
      svg .arc:hover { stroke: var(--target); stroke-opacity: 1; }
      .head { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr));
        gap: 1.2rem; align-items: center; margin: 1.2rem 0; padding: 1rem; background: var(--card);
        scroll-margin-top: 1rem; }
      .head figcaption { grid-column: 1 / -1; margin: 0; }
      svg .share { fill: var(--weight); stroke: var(--line); }
      svg text.number { font-size: 10px; text-anchor: middle; pointer-events: none; }
      svg .frame { fill: none; stroke: var(--line); }
      svg .mark { fill: none; stroke: var(--target); stroke-width: 2; pointer-events: none; }
      svg .mark.rival { stroke: var(--rival); stroke-dasharray: 4 3; }
      svg text.target { fill: var(--target); font-weight: 700; }
      svg text.rival { fill: var(--rival); font-weight: 700; }
      svg text.source { font-weight: 700; text-decoration: underline; }
      .overview th { font-weight: 600; color: var(--faint); padding: 2px 6px 2px 0;
        text-align: right; font-size: .85rem; }
      .overview thead th { text-align: center; padding: 0; }
      .overview td { padding: 3px; }
      .overview img { display: block; width: 82px; height: 82px; image-rendering: pixelated;
        background: var(--card); outline: 1px solid var(--line); }
      .overview img.top { outline: 3px solid var(--target); }
      .legend { display: flex; gap: 1rem; flex-wrap: wrap; margin: .6rem 0; color: var(--faint); }
      .legend span { display: inline-flex; align-items: center; gap: .4rem; }
      .legend i { width: 1.1rem; height: 1.1rem; background: var(--weight);
        outline: 1px solid var(--line); }
      """;

  private HeatMapStyle() {}

  /**
   * A page from its first line to its heading; it runs no script and asks no network.
   *
   * @param title escaped
   */
  static String opening(String title) {
    return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
        + "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
        + "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        + "style-src 'unsafe-inline'; img-src data:\"/>\n<title>"
        + title
        + "</title>\n<style>\n"
        + CSS
        + "</style>\n</head>\n<body>\n<h1>"
        + title
        + "</h1>\n";
  }
}
