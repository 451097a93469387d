package com.k2.connect;

import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.cache.LRUCache;
import org.apache.kafka.common.cache.SynchronizedCache;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Microseconds since 1970 UTC as ISO 8601 text, to the microsecond.
 *
 * <p>Connect has no type of its own for microseconds: they arrive as plain whole numbers, and the Iceberg sink takes those
 * for milliseconds. Text it reads exactly. {@code fields} names them; a record without one of them is refused, because a
 * time that is passed over would be written wrong. {@code optional.fields} names those that only later revisions of a
 * record have.
 */
public class ExactTimes<R extends ConnectRecord<R>> implements Transformation<R> {
  private static final String FIELDS = "fields";
  private static final String OPTIONAL = "optional.fields";
  private static final long MICROS = 1_000_000;
  private static final int SCHEMAS = 64;

  private Set<String> needed = Set.of();
  private Set<String> names = Set.of();
  private final SynchronizedCache<Schema, Schema> changed = new SynchronizedCache<>(new LRUCache<>(SCHEMAS));

  @Override
  public ConfigDef config() {
    return new ConfigDef()
        .define(FIELDS, ConfigDef.Type.LIST, ConfigDef.NO_DEFAULT_VALUE,
            ConfigDef.Importance.HIGH, "The fields that hold microseconds since 1970 UTC.")
        .define(OPTIONAL, ConfigDef.Type.LIST, List.of(), ConfigDef.Importance.MEDIUM,
            "Further ones, which a record need not have.");
  }

  @Override
  @SuppressWarnings("unchecked")
  public void configure(Map<String, ?> settings) {
    Map<String, Object> parsed = config().parse(settings);
    needed = new HashSet<>((List<String>) parsed.get(FIELDS));
    if (needed.isEmpty()) {
      throw new ConfigException(FIELDS, "", "names no field");
    }
    names = new HashSet<>(needed);
    names.addAll((List<String>) parsed.get(OPTIONAL));
  }

  @Override
  public R apply(R record) {
    if (record.value() == null) {
      return record;
    }
    if (!(record.value() instanceof Struct before)) {
      throw new DataException("a record with a schema is needed, not " + record.value().getClass().getName());
    }
    Schema schema = changed.get(before.schema());
    if (schema == null) {
      schema = withText(before.schema());
      changed.put(before.schema(), schema);
    }
    Struct after = new Struct(schema);
    for (Field field : before.schema().fields()) {
      Object value = before.get(field);
      after.put(field.name(), value instanceof Long time && names.contains(field.name()) ? text(time) : value);
    }
    return record.newRecord(record.topic(), record.kafkaPartition(), record.keySchema(), record.key(), schema, after,
        record.timestamp());
  }

  private Schema withText(Schema before) {
    SchemaBuilder after = SchemaBuilder.struct().name(before.name()).version(before.version()).doc(before.doc());
    if (before.isOptional()) {
      after.optional();
    }
    Set<String> missing = new HashSet<>(needed);
    for (Field field : before.fields()) {
      missing.remove(field.name());
      if (!names.contains(field.name())) {
        after.field(field.name(), field.schema());
        continue;
      }
      if (field.schema().type() != Schema.Type.INT64 || field.schema().name() != null) {
        throw new DataException(field.name() + " is " + field.schema() + ", not a plain whole number of 64 bits");
      }
      after.field(field.name(), field.schema().isOptional() ? Schema.OPTIONAL_STRING_SCHEMA : Schema.STRING_SCHEMA);
    }
    if (!missing.isEmpty()) {
      throw new DataException("the record has no " + String.join(", ", missing));
    }
    return after.build();
  }

  private static String text(long micros) {
    return Instant.ofEpochSecond(Math.floorDiv(micros, MICROS), Math.floorMod(micros, MICROS) * 1000).toString();
  }

  @Override
  public void close() {}
}
