package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.partitioning.ClusterFacts.Fact;
import java.io.IOException;
import java.io.StringReader;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ClusterFactsTest {

  @Test
  void itsTextReadsBack() throws IOException {
    ClusterFacts facts =
        ClusterFacts.defaults()
            .with(Fact.EXECUTORS, 64)
            .with(Fact.CORES, 4)
            .with(Fact.MULTIPLY_ADDS, 98.25)
            .with(Fact.SCORE, 0);
    Properties properties = new Properties();
    properties.load(new StringReader(facts.toString()));
    Map<String, String> byName = new TreeMap<>();
    properties
        .stringPropertyNames()
        .forEach(name -> byName.put(name, properties.getProperty(name)));
    assertThat(byName).hasSize(Fact.values().length);
    assertThat(ClusterFacts.defaults().with(byName)).isEqualTo(facts);
  }

  @Test
  void everyFactSaysItsUnitAndHowItIsMeasured() {
    assertThat(ClusterFacts.defaults().toString())
        .contains(
            "# GB/s into an executor from others; fetches of 16 MB blocks\n"
                + "spark.attention.facts.networkGBs=1\n");
  }

  @ParameterizedTest
  @CsvSource({
    "executors, 0",
    "executors, 1.5",
    "cores, many",
    "kernelGflops, 0",
    "kernelGflops, NaN",
    "networkGBs, -1",
    "networkGBs, Infinity",
    "leafNanos, ''"
  })
  void aValueThatTheFactCannotHaveIsRefused(String name, String value) {
    assertThatThrownBy(
            () -> ClusterFacts.defaults().with(Map.of(ClusterFacts.PREFIX + name, value)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("Invalid spark.attention.facts." + name + ": found '")
        .hasMessageContaining("number from ");
  }

  @Test
  void anUnknownNameIsRefused() {
    assertThatThrownBy(
            () -> ClusterFacts.defaults().with(Map.of("spark.attention.facts.networkMBs", "1")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Unknown cluster fact 'spark.attention.facts.networkMBs': expected one of"
                + " spark.attention.facts.*, such as spark.attention.facts.networkMillis");
  }

  @Test
  void slotsAreCoresOverThoseOfATask() {
    ClusterFacts facts =
        ClusterFacts.defaults().with(Fact.EXECUTORS, 3).with(Fact.CORES, 9).with(Fact.TASK_CPUS, 4);
    assertThat(facts.slotsPerExecutor()).isEqualTo(2);
    assertThat(facts.slots()).isEqualTo(6);
    assertThat(facts.with(Fact.TASK_CPUS, 16).slots()).isEqualTo(3);
  }
}
