package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class EncoderWindowTest {
  private static int centrality(EncoderWindow window, int position) {
    int end = window.start() + window.ids().length;
    return Math.min(position - window.start(), end - 1 - position);
  }

  @Test
  void eachTokenIsKeptOnceFromTheWindowInWhichItIsMostCentral() {
    for (int length = 1; length <= 9; length++) {
      for (int tokens = 1; tokens <= 40; tokens++) {
        int[] ids = IntStream.range(0, tokens).toArray();
        List<EncoderWindow> windows = EncoderWindow.of(7, ids, length);
        int next = 0;
        for (EncoderWindow window : windows) {
          assertThat(window.ids().length).isBetween(1, length);
          assertThat(window.keepFrom()).isEqualTo(next);
          for (int p = window.keepFrom(); p < window.keepTo(); p++) {
            assertThat(window.ids()[p - window.start()]).isEqualTo(p);
            if (tokens > length) {
              int best = 0;
              for (EncoderWindow other : windows) {
                best = Math.max(best, centrality(other, p));
              }
              // The document's own ends are no cuts: there the first and last window are kept.
              boolean inner = p >= length / 2 && p < tokens - length / 2;
              if (inner) {
                assertThat(centrality(window, p))
                    .as("%d of %d in windows of %d", p, tokens, length)
                    .isEqualTo(best);
              }
            }
          }
          next = window.keepTo();
        }
        assertThat(next).isEqualTo(tokens);
      }
    }
  }
}
