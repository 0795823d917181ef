package pipeline.stack;

import com.fasterxml.jackson.annotation.JacksonInject;
import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.Module;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.jsontype.NamedType;
import com.google.inject.Binder;
import io.confluent.kafka.schemaregistry.avro.AvroSchema;
import io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.druid.data.input.InputEntity;
import org.apache.druid.data.input.InputEntityReader;
import org.apache.druid.data.input.InputRow;
import org.apache.druid.data.input.InputRowSchema;
import org.apache.druid.data.input.IntermediateRowParsingReader;
import org.apache.druid.data.input.avro.AvroFlattenerMaker;
import org.apache.druid.data.input.impl.MapInputRowParser;
import org.apache.druid.data.input.impl.NestedInputFormat;
import org.apache.druid.guice.annotations.Json;
import org.apache.druid.initialization.DruidModule;
import org.apache.druid.java.util.common.CloseableIterators;
import org.apache.druid.java.util.common.parsers.CloseableIterator;
import org.apache.druid.java.util.common.parsers.JSONPathSpec;
import org.apache.druid.java.util.common.parsers.ObjectFlattener;
import org.apache.druid.java.util.common.parsers.ObjectFlatteners;
import org.apache.druid.java.util.common.parsers.ParseException;
import org.apache.druid.utils.DynamicConfigProviderUtils;

/**
 * The {@code avro_stream} input format, for test rigs only.
 *
 * <p>It stands in for one class of Druid's own avro extension. The newest release of that extension on Maven Central is
 * older than Druid's input formats: it can flatten a record, but cannot be named in a supervisor's {@code inputFormat}.
 * This class closes that gap and nothing else: the flattening is the extension's, the registry client is Confluent's,
 * and everything around them is Druid. What a test shows here of reading Avro, its error messages above all, still has to
 * be seen once with the extension of a Druid distribution.
 */
public final class AvroStream implements DruidModule {
  @Override
  public void configure(Binder binder) {}

  @Override
  public List<? extends Module> getJacksonModules() {
    SimpleModule module = new SimpleModule("pipeline-stack-avro-stream");
    module.registerSubtypes(new NamedType(Format.class, "avro_stream"));
    return List.of(module);
  }

  /** The settings, as a supervisor spec writes them. */
  public static final class Format extends NestedInputFormat {
    @JsonProperty private final Decoder avroBytesDecoder;
    @JsonProperty private final boolean binaryAsString;

    @JsonCreator
    public Format(
        @JsonProperty("flattenSpec") JSONPathSpec flattenSpec,
        @JsonProperty("avroBytesDecoder") Decoder avroBytesDecoder,
        @JsonProperty("binaryAsString") boolean binaryAsString) {
      super(flattenSpec);
      if (avroBytesDecoder == null) {
        throw new IllegalArgumentException("avro_stream needs an avroBytesDecoder");
      }
      this.avroBytesDecoder = avroBytesDecoder;
      this.binaryAsString = binaryAsString;
    }

    @Override
    public boolean isSplittable() {
      return false;
    }

    @Override
    public InputEntityReader createReader(InputRowSchema schema, InputEntity source, File unused) {
      return new Reader(
          source,
          avroBytesDecoder,
          schema,
          ObjectFlatteners.create(getFlattenSpec(), new AvroFlattenerMaker(false, binaryAsString)));
    }
  }

  /** Finds the writer's schema by the id in front of each record. Secrets of the registry's client come from a dynamic config provider. */
  public static final class Decoder {
    private static final int HEADER = 5; // a zero byte and the schema id
    private static final String PROVIDER = "druid.dynamic.config.provider";

    @JsonProperty private final String type;
    @JsonProperty private final String url;
    @JsonProperty private final List<String> urls;
    @JsonProperty private final Map<String, Object> config;
    @JsonProperty private final Map<String, Object> headers;
    private final SchemaRegistryClient registry;

    @JsonCreator
    public Decoder(
        @JsonProperty("type") String type,
        @JsonProperty("url") String url,
        @JsonProperty("urls") List<String> urls,
        @JsonProperty("config") Map<String, Object> config,
        @JsonProperty("headers") Map<String, Object> headers,
        @JacksonInject @Json ObjectMapper mapper) {
      if (!"schema_registry".equals(type)) {
        throw new IllegalArgumentException("this rig decodes with schema_registry only, not with " + type);
      }
      this.type = type;
      this.url = url;
      this.urls = urls;
      this.config = config == null ? Map.of() : config;
      this.headers = headers == null ? Map.of() : headers;
      this.registry =
          new CachedSchemaRegistryClient(
              url == null ? urls : List.of(url),
              Integer.MAX_VALUE,
              DynamicConfigProviderUtils.extraConfigAndSetObjectMap(this.config, PROVIDER, mapper),
              DynamicConfigProviderUtils.extraConfigAndSetStringMap(this.headers, PROVIDER, mapper));
    }

    GenericRecord decode(byte[] message) throws IOException {
      if (message.length < HEADER) {
        throw new ParseException(null, "%s bytes are too few for a registry-framed Avro record", message.length);
      }
      Schema schema = schema(ByteBuffer.wrap(message).getInt(1));
      try {
        return new GenericDatumReader<GenericRecord>(schema)
            .read(null, DecoderFactory.get().binaryDecoder(message, HEADER, message.length - HEADER, null));
      } catch (IOException | RuntimeException e) {
        throw new ParseException(null, e, "Fail to decode Avro message for schema: %s!", schema.getFullName());
      }
    }

    /** Not a ParseException, as in Druid: without its schema a record can't be called bad, so the task fails and tries again. */
    private Schema schema(int id) throws IOException {
      try {
        return ((AvroSchema) registry.getSchemaById(id)).rawSchema();
      } catch (RestClientException e) {
        throw new IOException("the registry has no schema " + id, e);
      }
    }
  }

  /** One message, one row. Druid keeps a reader and changes the message behind {@code source}. */
  private static final class Reader extends IntermediateRowParsingReader<GenericRecord> {
    private final InputEntity source;
    private final Decoder decoder;
    private final InputRowSchema schema;
    private final ObjectFlattener<GenericRecord> flattener;

    Reader(InputEntity source, Decoder decoder, InputRowSchema schema, ObjectFlattener<GenericRecord> flattener) {
      this.source = source;
      this.decoder = decoder;
      this.schema = schema;
      this.flattener = flattener;
    }

    @Override
    protected CloseableIterator<GenericRecord> intermediateRowIterator() throws IOException {
      try (InputStream message = source.open()) {
        return CloseableIterators.withEmptyBaggage(List.of(decoder.decode(message.readAllBytes())).iterator());
      }
    }

    @Override
    protected InputEntity source() {
      return source;
    }

    @Override
    protected List<InputRow> parseInputRows(GenericRecord row) {
      return List.of(MapInputRowParser.parse(schema, flattener.flatten(row)));
    }

    @Override
    protected List<Map<String, Object>> toMap(GenericRecord row) {
      return List.of(flattener.toMap(row));
    }
  }
}
