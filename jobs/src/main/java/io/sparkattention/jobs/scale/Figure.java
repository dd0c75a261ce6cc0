package io.sparkattention.jobs.scale;

import io.sparkattention.driver.model.Markup;

/**
 * A plot on the page.
 *
 * @param caption what it shows
 * @param svg the drawing
 */
record Figure(String caption, String svg) {
  String html() {
    return "<figure><figcaption>"
        + Markup.escape(caption)
        + "</figcaption>\n"
        + svg
        + "</figure>\n";
  }
}
