package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.partitioning.Cost;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What the planner chose and what it rejected, and why; printable. */
public final class PlanChoice {
  private static final String ROW = "%-10s %-11s %7s %9s %9s %9s %9s %9s %9s %11s %6s  %s%n";

  private final Candidate chosen;
  private final Placement placement;
  private final boolean askedFor;
  private final List<Candidate> candidates;

  /**
   * @param placement of the chosen one
   * @param askedFor whether the exchange was not the planner's to choose
   * @param candidates the chosen among them
   */
  PlanChoice(
      Candidate chosen, Placement placement, boolean askedFor, List<Candidate> candidates) {
    this.chosen = chosen;
    this.placement = placement;
    this.askedFor = askedFor;
    this.candidates = List.copyOf(candidates);
  }

  public Candidate chosen() {
    return chosen;
  }

  Placement placement() {
    return placement;
  }

  /** All that were costed, the chosen one among them. */
  public List<Candidate> candidates() {
    return candidates;
  }

  /** One line: the predicted time, and what else there was. */
  public String summary() {
    return rejectedExchanges()
        .map(candidate -> candidate.exchange() + ": " + reason(candidate))
        .collect(
            Collectors.joining(
                "; ",
                "%s, predicted %s; rejected "
                    .formatted(
                        askedFor ? "asked for" : "fastest that fits",
                        Amount.seconds(chosen.cost().seconds())),
                ""));
  }

  /** The best candidate of each other exchange, the faster first. */
  private Stream<Candidate> rejectedExchanges() {
    Map<ExchangeKind, Candidate> best = new EnumMap<>(ExchangeKind.class);
    for (Candidate candidate : candidates) {
      best.merge(candidate.exchange(), candidate, PlanChoice::better);
    }
    best.remove(chosen.exchange());
    return best.values().stream().sorted(ORDER);
  }

  private static final Comparator<Candidate> ORDER =
      Comparator.comparing((Candidate candidate) -> candidate.refusal().isPresent())
          .thenComparingDouble(candidate -> candidate.cost().seconds());

  private static Candidate better(Candidate a, Candidate b) {
    return ORDER.compare(b, a) < 0 ? b : a;
  }

  /**
   * A table like SQL's EXPLAIN: the chosen placement first, then the best one of each other
   * exchange, then the chosen exchange with other assignments and other numbers of shards.
   */
  public String table() {
    List<Candidate> rows = new ArrayList<>();
    rows.add(chosen);
    rejectedExchanges().forEach(rows::add);
    candidates.stream()
        .filter(c -> c.exchange() == chosen.exchange() && c != chosen)
        .filter(c -> c.assignment() == chosen.assignment() || c.shards() == chosen.shards())
        .sorted(ORDER)
        .forEach(rows::add);
    return header() + rows.stream().map(this::row).collect(Collectors.joining());
  }

  private static String header() {
    return row(
        "exchange",
        "assignment",
        "shards",
        "time",
        "compute",
        "waiting",
        "starting",
        "sending",
        "moved",
        "task memory",
        "skew",
        "");
  }

  private String row(Candidate candidate) {
    Cost cost = candidate.cost();
    return row(
        candidate.exchange(),
        candidate.assignment(),
        String.format(Locale.ROOT, "%,d", candidate.shards()),
        Amount.seconds(cost.seconds()),
        Amount.seconds(cost.computeSeconds()),
        Amount.seconds(cost.exposedSeconds()),
        Amount.seconds(cost.overheadSeconds()),
        Amount.seconds(cost.prepareSeconds()),
        Amount.bytes(cost.bytesMoved()),
        Amount.bytes(cost.taskBytes()),
        String.format(Locale.ROOT, "%.2f", cost.skew()),
        candidate == chosen
            ? (askedFor ? "asked for" : "chosen")
            : "rejected: " + reason(candidate));
  }

  private static String row(Object... cells) {
    return String.format(Locale.ROOT, ROW, cells).stripTrailing() + "\n";
  }

  /** What keeps a candidate from being chosen. */
  private String reason(Candidate candidate) {
    if (candidate.refusal().isPresent()) {
      return candidate.refusal().get();
    }
    double more = candidate.cost().seconds() - chosen.cost().seconds();
    if (askedFor && candidate.exchange() != chosen.exchange()) {
      return "%s was asked for, this is %s %s"
          .formatted(
              chosen.exchange(), Amount.seconds(Math.abs(more)), more < 0 ? "faster" : "slower");
    }
    if (candidate.cost().seconds() <= Planner.TIE * chosen.cost().seconds()) {
      return "not faster by more than the model can tell";
    }
    return "%s slower, %s".formatted(Amount.seconds(more), cause(candidate.cost()));
  }

  /** The part of the time that grew most. */
  private String cause(Cost cost) {
    Cost other = chosen.cost();
    double compute = cost.computeSeconds() - other.computeSeconds();
    double exposed = cost.exposedSeconds() - other.exposedSeconds();
    double overhead = cost.overheadSeconds() - other.overheadSeconds();
    double prepare = cost.prepareSeconds() - other.prepareSeconds();
    double most = Math.max(Math.max(compute, exposed), Math.max(overhead, prepare));
    if (most == prepare) {
      return "sends to every executor first";
    }
    if (most == exposed) {
      return "moves or serialises more";
    }
    if (most == overhead) {
      return "starts more stages and tasks";
    }
    return cost.skew() > other.skew() * 1.02
        ? "waits for the rank with most work"
        : "computes on fewer slots or with more merges";
  }
}
