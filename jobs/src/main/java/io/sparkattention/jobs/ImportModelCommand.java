package io.sparkattention.jobs;

import io.sparkattention.driver.model.BertConfig;
import io.sparkattention.driver.model.ModelImport;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** A model's folder in Hugging Face's layout out of an ONNX encoder. */
@Command(
    name = "import-model",
    description = "Make a model's folder in Hugging Face's layout out of a BERT encoder in ONNX.")
final class ImportModelCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--onnx",
      required = true,
      description =
          "A local ONNX file with a *tokenizer.json beside it, or a JAR that holds one of each.")
  private Path onnx;

  @Option(names = "--output", required = true, description = "The model's folder.")
  private String output;

  @Option(names = "--overwrite", description = "Replace an existing output.")
  private boolean overwrite;

  @Override
  public Integer call() throws IOException {
    BertConfig config = ModelImport.run(onnx, output, overwrite);
    spec.commandLine()
        .getOut()
        .printf(
            "%s: BERT, %d layers of %d heads, %d wide, %,d tokens, %d positions%n",
            output,
            config.layers(),
            config.numHeads(),
            config.hidden(),
            config.vocabulary(),
            config.positions());
    return 0;
  }
}
