import { OTLPLogExporter as JsonExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as ProtobufExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import type { Scope } from './temp-folder.ts';

/** The exporters of OpenTelemetry's SDK, unmodified, and with the SDK's own retry. */
const EXPORTERS = { 'exporter-logs-otlp-http': JsonExporter, 'exporter-logs-otlp-proto': ProtobufExporter };
export type ExporterName = keyof typeof EXPORTERS;

type Settings = NonNullable<ConstructorParameters<typeof JsonExporter>[0]>;

/** The SDK names the compressions in an enum that its packages do not export. */
const GZIP = { compression: 'gzip' } as unknown as { compression: NonNullable<Settings['compression']> };

/** The SDK's loggers, which send to this port what they are told, as the service `name`. */
export function loggersTo(
  t: Scope,
  port: number,
  exporter: ExporterName,
  {
    name,
    gzip = false,
    patienceMs = 10_000,
  }: { readonly name: string; readonly gzip?: boolean; readonly patienceMs?: number },
): LoggerProvider {
  const url = `http://127.0.0.1:${port}/v1/logs`;
  const provider = new LoggerProvider({
    resource: resourceFromAttributes({ 'service.name': name, 'service.instance.id': 'shop-1' }),
    processors: [
      new BatchLogRecordProcessor({
        exporter: new EXPORTERS[exporter]({ url, timeoutMillis: patienceMs, ...(gzip && GZIP) }),
        scheduledDelayMillis: 50,
        exportTimeoutMillis: 2 * patienceMs,
        maxQueueSize: 100_000,
      }),
    ],
  });
  t.after(() => provider.shutdown());
  return provider;
}
