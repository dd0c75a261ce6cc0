package io.sparkattention.driver;

/** A row of a Parquet input: a bean, from which Spark makes the columns. */
public final class TokenRow {
  private String id;
  private long position;
  private float[] query;
  private float[] key;
  private float[] value;

  /** For Spark's encoder. */
  public TokenRow() {}

  TokenRow(String id, long position, float[] query, float[] key, float[] value) {
    this.id = id;
    this.position = position;
    this.query = query;
    this.key = key;
    this.value = value;
  }

  public String getId() {
    return id;
  }

  public void setId(String id) {
    this.id = id;
  }

  public long getPosition() {
    return position;
  }

  public void setPosition(long position) {
    this.position = position;
  }

  public float[] getQuery() {
    return query;
  }

  public void setQuery(float[] query) {
    this.query = query;
  }

  public float[] getKey() {
    return key;
  }

  public void setKey(float[] key) {
    this.key = key;
  }

  public float[] getValue() {
    return value;
  }

  public void setValue(float[] value) {
    this.value = value;
  }
}
