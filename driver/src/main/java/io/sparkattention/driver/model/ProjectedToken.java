package io.sparkattention.driver.model;

/** One row of a projection, as a bean: primitive arrays reach the table without boxing. */
public final class ProjectedToken {
  private String sequenceId;
  private long position;
  private int tokenId;
  private String token;
  private float[] query;
  private float[] key;
  private float[] value;

  /** The sequence's name. */
  public String getSequenceId() {
    return sequenceId;
  }

  public void setSequenceId(String sequenceId) {
    this.sequenceId = sequenceId;
  }

  /** Global index of the token in its sequence. */
  public long getPosition() {
    return position;
  }

  public void setPosition(long position) {
    this.position = position;
  }

  /** The token's id in the vocabulary. */
  public int getTokenId() {
    return tokenId;
  }

  public void setTokenId(int tokenId) {
    this.tokenId = tokenId;
  }

  /** The vocabulary's token. */
  public String getToken() {
    return token;
  }

  public void setToken(String token) {
    this.token = token;
  }

  /** [numHeads · headDim]. */
  public float[] getQuery() {
    return query;
  }

  public void setQuery(float[] query) {
    this.query = query;
  }

  /** [numHeads · headDim]. */
  public float[] getKey() {
    return key;
  }

  public void setKey(float[] key) {
    this.key = key;
  }

  /** [numHeads · headDim]. */
  public float[] getValue() {
    return value;
  }

  public void setValue(float[] value) {
    this.value = value;
  }
}
