package io.sparkattention.jobs.scale;

/** The style sheet of the page: dark on white, for screens and paper. */
final class PageStyle {
  static final String CSS =
      """
      * { box-sizing: border-box; }
      body { margin: 0 auto; padding: 2rem 1.5rem 3rem; max-width: 78rem; background: #fff;
        color: #1a1a1a; font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
      h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
      h2 { font-size: 1.25rem; margin: 2.4rem 0 .3rem; border-top: 1px solid #ddd;
        padding-top: 1rem; }
      h3 { font-size: 1.05rem; margin: 1.4rem 0 .2rem; }
      p { margin: .3rem 0 .8rem; max-width: 60rem; }
      .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr));
        gap: 1.2rem; }
      figure { margin: .8rem 0; }
      figcaption { font-weight: 600; margin-bottom: .3rem; }
      svg { display: block; width: 100%; height: auto; }
      svg text { fill: #1a1a1a; font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
      svg text.title { font-size: 13px; }
      svg .grid { stroke: #e4e4e4; stroke-width: 1; }
      svg .axis { stroke: #555; stroke-width: 1; }
      svg .line { fill: none; stroke-width: 2; }
      svg .range { stroke: #555; stroke-width: 1; }
      svg .mark { stroke: #fff; stroke-width: 1; }
      svg .band { fill: #e8f1f8; }
      .wide { overflow-x: auto; }
      table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
      th, td { padding: .2rem .7rem .2rem 0; text-align: left; border-bottom: 1px solid #e4e4e4;
        white-space: nowrap; }
      td.reason { white-space: normal; }
      th { font-weight: 600; }
      .number { text-align: right; }
      .wrong { color: #a4002a; font-weight: 700; }
      """;

  private PageStyle() {}
}
