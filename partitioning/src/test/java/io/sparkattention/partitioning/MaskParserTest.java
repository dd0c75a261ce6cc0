package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class MaskParserTest {

  private static final String FORMS =
      "full, causal, sliding-window:LEFT[,RIGHT], dilated-window:LEFT,STEP[,RIGHT], prefix:N,"
          + " documents:LENGTH,…, global:N, global-positions:POSITION,…, sinks:N,"
          + " block-sparse:SIZE,QUERY-KEY,…, random-blocks:COUNT,SEED[,SIZE[,BLOCKS]],"
          + " bigbird:WINDOW,N,COUNT,SEED[,SIZE[,BLOCKS]], block-top-k:COUNT[,SIZE], streaming:N,WINDOW, masks joined by & or"
          + " |";

  static List<MaskOracle> masks() {
    return MaskOracle.all();
  }

  @ParameterizedTest
  @MethodSource("masks")
  void readsWhatItPrints(MaskOracle oracle) {
    AttentionMask mask = AttentionMask.parse(oracle.toString());
    assertThat(mask).isEqualTo(oracle.mask()).hasSameClassAs(oracle.mask());
    assertThat(mask).hasToString(oracle.toString());
  }

  @ParameterizedTest
  @ValueSource(longs = {11, 12})
  void readsRandomCompositionsThatItPrints(long seed) {
    Random random = new Random(seed);
    for (int i = 0; i < 500; i++) {
      AttentionMask mask = MaskOracle.random(random, 3, 40).mask();
      AttentionMask read = AttentionMask.parse(mask.toString());
      assertThat(read).isEqualTo(mask).hasToString(mask.toString());
      Block block = new Block(0, 0, 30);
      assertThat(read.shown(Area.of(block, block, 1)))
          .isEqualTo(mask.shown(Area.of(block, block, 1)));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "full; full",
        "sliding-window:5,0; sliding-window:5",
        "sliding-window:9223372036854775807; causal",
        "dilated-window:6,2; dilated-window:6,2",
        "dilated-window:6,1,2; sliding-window:6,2",
        "global-positions:2,0,1; global:3",
        "block-sparse:8,2-1,0-0,2-1; block-sparse:8,0-0,2-1",
        "random-blocks:3,9; random-blocks:3,9,64",
        "bigbird:10,2,3,9,8,50; sliding-window:10,10 | global:2 | random-blocks:3,9,8,50",
        "bigbird:10,2,3,9; sliding-window:10,10 | global:2 | random-blocks:3,9,64",
        "streaming:4,1024; causal & (sinks:4 | sliding-window:1024)",
        "causal&full|sinks:1; causal & full | sinks:1",
        "causal | full & sinks:1; causal | full & sinks:1",
        "( causal|full )&sinks:1; (causal | full) & sinks:1",
        "((causal)) | (full | sinks:1); causal | full | sinks:1",
        "causal & (full & sinks:1); causal & full & sinks:1",
        "' \t causal '; causal"
      })
  void printsTheShortestForm(String text, String printed) {
    assertThat(AttentionMask.parse(text)).hasToString(printed);
  }

  @Test
  void readsListsFromElsewhere() {
    AttentionMask mask =
        AttentionMask.parse(
            "documents:@a & (global-positions:@b.txt | block-sparse:4,@c/d-e)",
            name ->
                switch (name) {
                  case "a" -> "\n3,  4\n5\n";
                  case "b.txt" -> "7";
                  case "c/d-e" -> "0-0\t1-0";
                  default -> throw new AssertionError(name);
                });
    assertThat(mask).hasToString("documents:3,4,5 & (global-positions:7 | block-sparse:4,0-0,1-0)");
    assertRefuses("documents:@a", "Cannot read the list @a (expected the list itself)");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "3 x; LENGTH 2 of @list is 'x', expected a whole number from 0 to 9223372036854775807",
        "'' ; LENGTH 1 of @list is '', expected a whole number from 0 to 9223372036854775807",
        "3 0; Invalid documents: length 2 is 0 (expected >= 1, the sum <= 2^60)"
      })
  void namesThePlaceInAListFromElsewhere(String list, String reason) {
    assertThatThrownBy(() -> AttentionMask.parse("documents:@list", name -> list))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid mask: 'documents:@list' (%s)", reason);
  }

  @ParameterizedTest
  @ValueSource(strings = {"diagonal", "", "Causal", "@file", "sliding window:3", ":1"})
  void refusesUnknownMasks(String text) {
    assertRefuses(text, "expected " + FORMS);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "causal & diagonal:3; 'diagonal:3' at 10: expected FORMS",
        "causal &; '' at 9: expected FORMS",
        "| causal; '' at 1: expected FORMS",
        "causal && full; '' at 9: expected FORMS",
        "(); '' at 2: expected FORMS",
        "causal full; expected FORMS"
      })
  void namesThePlaceOfAnUnknownMask(String text, String reason) {
    assertRefuses(text, reason.replace("FORMS", FORMS));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "(causal; the end of the text at 8, expected &, | or )",
        "((causal) | full; the end of the text at 17, expected &, | or )",
        "causal); ')' at 7, expected &, | or the end",
        "(causal) full; 'f' at 10, expected &, | or the end",
        "causal (full); '(' at 8, expected &, | or the end",
        "(causal)(full); '(' at 9, expected &, | or the end"
      })
  void namesThePlaceOfAStrayCharacter(String text, String reason) {
    assertRefuses(text, reason);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "full:; expected full",
        "causal:1; expected causal",
        "sliding-window; expected sliding-window:LEFT[,RIGHT]",
        "sliding-window:1,2,3; expected sliding-window:LEFT[,RIGHT]",
        "dilated-window:4; expected dilated-window:LEFT,STEP[,RIGHT]",
        "prefix; expected prefix:N",
        "documents; expected documents:LENGTH,…",
        "block-sparse:64; expected block-sparse:SIZE,QUERY-KEY,…",
        "random-blocks:3; expected random-blocks:COUNT,SEED[,SIZE[,BLOCKS]]",
        "random-blocks:3,1,64,9,9; expected random-blocks:COUNT,SEED[,SIZE[,BLOCKS]]",
        "bigbird:3,1,64; expected bigbird:WINDOW,N,COUNT,SEED[,SIZE[,BLOCKS]]",
        "streaming:4; expected streaming:N,WINDOW"
      })
  void namesTheFormOfAMaskWithOtherArguments(String text, String reason) {
    assertRefuses(text, reason);
  }

  @ParameterizedTest
  @ValueSource(strings = {"-1", "two", "", "+1", "1.5", " 1", "٣", "9223372036854775808", "@one"})
  void namesNumbersThatAreNone(String size) {
    String reason = " is '" + size + "', expected a whole number from 0 to 9223372036854775807";
    assertRefuses("sliding-window:" + size, "LEFT" + reason);
    assertRefuses("sliding-window:4," + size, "RIGHT" + reason);
    assertRefuses("random-blocks:1," + size + ",3", "SEED" + reason);
    assertRefuses("documents:4,5," + size, "LENGTH 3" + reason);
    assertRefuses("global-positions:4," + size + ",5", "POSITION 2" + reason);
    assertRefuses("full & sinks:" + size, "'" + ("sinks:" + size) + "' at 8: N" + reason);
  }

  @ParameterizedTest
  @ValueSource(strings = {"1", "-", "1-", "-1", "1-2-3", "a-1", "1-٣", "", "1 - 2"})
  void namesPairsThatAreNone(String pair) {
    String reason = " is '" + pair + "', expected two whole numbers joined by -";
    assertRefuses("block-sparse:8," + pair, "QUERY-KEY" + reason);
    assertRefuses("block-sparse:8,0-0," + pair + ",1-1", "QUERY-KEY 2" + reason);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "prefix:1152921504606846977; Invalid prefix: 1152921504606846977 tokens (expected 0 to"
            + " 2^60)",
        "global:9223372036854775807; Invalid global tokens: 9223372036854775807 tokens (expected 0"
            + " to 2^60)",
        "global-positions:1152921504606846976; Invalid global position: 1152921504606846976"
            + " (expected 0 <= position < 2^60)",
        "dilated-window:4,0; Invalid dilated window: left 4, step 0, right 0 (expected left, right"
            + " >= 0, step >= 1)",
        "documents:9,0; Invalid documents: length 2 is 0 (expected >= 1, the sum <= 2^60)",
        "documents:1,1152921504606846976; Invalid documents: length 2 is 1152921504606846976"
            + " (expected >= 1, the sum <= 2^60)",
        "block-sparse:0,1-1; Invalid block size of a mask: 0 tokens (expected 1 to 2^60)",
        "block-sparse:4,1-1,2-288230376151711744; Invalid block list: pair 2 is"
            + " 2-288230376151711744 (expected blocks of 4 tokens at positions below 2^60)",
        "random-blocks:0,1; Invalid random blocks: 0 per query block (expected 1 to 1024)",
        "random-blocks:1025,1; Invalid random blocks: 1025 per query block (expected 1 to 1024)",
        "random-blocks:1,1,64,0; BLOCKS is '0', expected a whole number from 1 to"
            + " 9223372036854775807",
        "random-blocks:1,1,64,18014398509481985; Invalid random blocks: drawn from"
            + " 18014398509481985 key blocks of 64 tokens (expected positions up to 2^60)"
      })
  void saysWhyAMaskRefusesItsNumbers(String text, String reason) {
    assertRefuses(text, reason);
  }

  @Test
  void refusesParenthesesThatTheStackMightNotHold() {
    String deep = "(".repeat(100_000);
    assertThatThrownBy(() -> AttentionMask.parse(deep + "causal"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid mask: '%s…' (parentheses in parentheses, expected at most 64 deep)",
            deep.substring(0, 160));
    assertThat(AttentionMask.parse("(".repeat(64) + "causal" + ")".repeat(64)))
        .isEqualTo(AttentionMask.causal());
  }

  @Test
  void readsLongListsAndQuotesTheirBeginning() {
    String list = "1,".repeat(300_000);
    assertThat(AttentionMask.parse("documents:" + list + "1")).isNotNull();
    assertThatThrownBy(() -> AttentionMask.parse("full|documents:" + list))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("at 6: LENGTH 300001 is ''")
        .satisfies(e -> assertThat(e.getMessage()).hasSizeLessThan(500));
  }

  private static void assertRefuses(String text, String reason) {
    assertThatThrownBy(() -> AttentionMask.parse(text))
        .isInstanceOfSatisfying(
            InvalidMaskException.class,
            e -> {
              assertThat(e.found()).isEqualTo(text);
              assertThat(e.reason()).isEqualTo(reason);
            })
        .hasMessage("Invalid mask: '%s' (%s)", text, reason);
  }
}
