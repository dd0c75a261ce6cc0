package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.apache.spark.SparkConf;

/** TLS for Spark's RPC with a certificate that is made for the test. */
public final class KeyStores {
  private static final String PASSWORD = "password";

  private KeyStores() {}

  /** Adds TLS with a new key pair and a certificate of its own, by the JDK's keytool. */
  public static SparkConf withTls(SparkConf conf, Path folder)
      throws IOException, InterruptedException {
    String store = folder.resolve("keys.p12").toString();
    Process keytool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                "rpc",
                "-keyalg",
                "EC",
                "-dname",
                "CN=localhost",
                "-storetype",
                "PKCS12",
                "-keystore",
                store,
                "-storepass",
                PASSWORD)
            .redirectErrorStream(true)
            .start();
    String said = new String(keytool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(keytool.waitFor()).as(said).isZero();
    return conf.set("spark.ssl.rpc.enabled", "true")
        .set("spark.ssl.rpc.keyStore", store)
        .set("spark.ssl.rpc.keyStorePassword", PASSWORD)
        .set("spark.ssl.rpc.keyPassword", PASSWORD)
        .set("spark.ssl.rpc.trustStore", store)
        .set("spark.ssl.rpc.trustStorePassword", PASSWORD);
  }
}
