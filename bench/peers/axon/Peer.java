// Axon Framework's JDBC event store: WIDTH threads, each appends one event to a new aggregate again
// and again. `java -cp ... Peer.java DSN WIDTH SECONDS` prints one line of JSON.

import com.sun.management.OperatingSystemMXBean;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.util.ArrayList;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import org.axonframework.common.transaction.NoTransactionManager;
import org.axonframework.eventhandling.GenericDomainEventMessage;
import org.axonframework.eventsourcing.eventstore.jdbc.JdbcEventStorageEngine;
import org.axonframework.eventsourcing.eventstore.jdbc.PostgresEventTableFactory;
import org.axonframework.serialization.json.JacksonSerializer;

public class Peer {
    static final double WARM = 2.0; // seconds: the virtual machine compiles

    public static class Noted {
        public String note = "x".repeat(389);
    }

    public static void main(String[] arguments) throws Exception {
        int width = Integer.parseInt(arguments[1]);
        double seconds = Double.parseDouble(arguments[2]);
        try (HikariDataSource source = source(arguments[0], width)) {
            JacksonSerializer json = JacksonSerializer.defaultSerializer();
            // One statement a transaction: it commits by itself, which is the least that JDBC does.
            JdbcEventStorageEngine engine = JdbcEventStorageEngine.builder()
                .connectionProvider(source::getConnection)
                .transactionManager(NoTransactionManager.instance())
                .eventSerializer(json)
                .snapshotSerializer(json)
                .build();
            try {
                engine.createSchema(PostgresEventTableFactory.INSTANCE);
            } catch (RuntimeException exists) {
                // from the round before
            }
            append(engine, width, WARM);
            var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
            long used = system.getProcessCpuTime();
            long began = System.nanoTime();
            long commands = append(engine, width, seconds);
            System.out.printf(
                "{\"commands\": %d, \"seconds\": %s, \"cpu_seconds\": %s}%n", commands,
                (System.nanoTime() - began) / 1e9, (system.getProcessCpuTime() - used) / 1e9);
        }
    }

    static HikariDataSource source(String dsn, int width) {
        URI at = URI.create(dsn);
        String[] who = at.getUserInfo().split(":");
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl("jdbc:postgresql://" + at.getHost() + ":" + at.getPort() + at.getPath());
        config.setUsername(who[0]);
        config.setPassword(who[1]);
        config.setMaximumPoolSize(width);
        return new HikariDataSource(config);
    }

    static long append(JdbcEventStorageEngine engine, int width, double seconds) throws Exception {
        long until = System.nanoTime() + (long) (seconds * 1e9);
        Callable<Long> writer = () -> {
            long done = 0;
            while (System.nanoTime() < until) {
                engine.appendEvents(new GenericDomainEventMessage<>(
                    "Note", UUID.randomUUID().toString(), 0, new Noted()));
                done++;
            }
            return done;
        };
        var writers = Executors.newFixedThreadPool(width);
        var asked = new ArrayList<Callable<Long>>();
        for (int number = 0; number < width; number++) asked.add(writer);
        long total = 0;
        for (var done : writers.invokeAll(asked)) total += done.get();
        writers.shutdown();
        return total;
    }
}
