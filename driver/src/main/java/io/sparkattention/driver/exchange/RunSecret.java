package io.sparkattention.driver.exchange;

import java.io.Serializable;
import java.security.SecureRandom;
import java.util.HexFormat;
import org.apache.spark.network.sasl.SecretKeyHolder;

/** What the ranks of one run know and nobody else, where the cluster has no secret of its own. */
final class RunSecret implements SecretKeyHolder, Serializable {
  private static final long serialVersionUID = 1L;

  private static final int BYTES = 32;

  private final String secret;

  RunSecret() {
    byte[] random = new byte[BYTES];
    new SecureRandom().nextBytes(random);
    this.secret = HexFormat.of().formatHex(random);
  }

  @Override
  public String getSaslUser(String applicationId) {
    return "attention";
  }

  @Override
  public String getSecretKey(String applicationId) {
    return secret;
  }
}
