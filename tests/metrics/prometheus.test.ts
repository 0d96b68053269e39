import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AggregatorProcess, Site } from '../../lab/aggregator-process.ts';
import { type Program, until } from '../../lab/program.ts';
import { portOf, prometheusMissing } from '../../lab/prometheus.ts';
import { pathOf } from '../../lab/repository.ts';
import { eventWith } from '../../packages/aggregator/test/support/events.ts';
import { alertsIn, expressionsIn } from '../../packages/aggregator/test/support/grafana.ts';
import { Group } from '../../packages/aggregator/test/support/group.ts';

/** How long Prometheus scrapes; the long form is a minute. */
const SECONDS = Number(process.env['PROMETHEUS_SECONDS'] ?? 8);

const TIMEOUT = { timeout: (SECONDS + 60) * 1000 };

const missing = prometheusMissing();
if (missing === null) testsWithPrometheus();
else if (process.env['REQUIRE_PROMTOOL'] === '1') {
  test('Prometheus can be run, as REQUIRE_PROMTOOL=1 asks', () => assert.fail(missing));
} else test('a real Prometheus', { skip: missing }, () => {});

/** Expressions that have nothing to show unless something is wrong. */
const ONLY_IF_WRONG = /> 0\b/;

function testsWithPrometheus(): void {
  test(
    'a real Prometheus scrapes both ports, the dashboard has something to show, and an alert fires',
    TIMEOUT,
    async (t) => {
      const site = new Site(t);
      const service = await site.start({ settings: { METRICS_PORT: '0', METRICS_TOPICS: 'orders, load.>' } });
      const group = new Group(service.url, 'workers');
      await group.make({ topics: ['>'] });
      const asked = await started(site, service);

      const untilMs = performance.now() + SECONDS * 1000;
      let published = 0;
      while (performance.now() < untilMs) {
        published += await publishSome(service, published);
        await sleep(100);
      }
      await until(
        () => 'both targets are up',
        async () => (await asked.values('up')).join() === '1,1',
      );
      await until(
        () => `the ${published} published events are counted`,
        async () =>
          (await asked.values('max(chronicleweaver_store_events_total{verdict="accepted"})'))[0] ===
          published,
      );
      for (const expr of expressionsIn()) {
        const values = await asked.values(expr.replaceAll('$__rate_interval', '5s').replaceAll('$__range', '1m').replaceAll('$instance', '.+')); // prettier-ignore
        assert.ok(values.length > 0 || ONLY_IF_WRONG.test(expr) || /webhook_/.test(expr), expr);
      }
      await allRulesWork(asked);
      await until(
        () => 'the alert about conflicts fires',
        async () => (await asked.firing()).includes('ChronicleWeaverConflicts'),
      );
    },
  );
}

/** A new event, a duplicate and a conflict; says how many were new. */
async function publishSome(service: AggregatorProcess, from: number): Promise<number> {
  const event = eventWith({ event_id: `e-${from}` });
  const events = [event, event, { ...event, source: 'other' }];
  const response = await fetch(`${service.url}/publish`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ events }),
  });
  assert.equal(response.status, 200);
  return 1;
}

async function allRulesWork(asked: Asked): Promise<void> {
  await until(
    () => 'every rule was evaluated',
    async () => (await asked.rules()).every(({ health }) => health !== 'unknown'),
  );
  const rules = await asked.rules();
  assert.equal(rules.length, alertsIn().length);
  const broken = rules.filter(({ health }) => health !== 'ok');
  assert.deepEqual(broken, []);
}

/** Starts Prometheus on the service's two ports, with the alert rules. */
async function started(site: Site, service: AggregatorProcess): Promise<Asked> {
  const metricsPort = service.logs.find((line) => 'metricsPort' in line)?.['metricsPort'];
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [pathOf('docs/grafana/alerts.yml')],
    scrape_configs: [
      {
        job_name: 'chronicleweaver',
        static_configs: [{ targets: [`127.0.0.1:${service.port}`, `127.0.0.1:${String(metricsPort)}`] }],
      },
    ],
  };
  const path = join(site.folder, 'prometheus.yml');
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(config));
  const program = site.run([
    'prometheus',
    `--config.file=${path}`,
    `--storage.tsdb.path=${join(site.folder, 'tsdb')}`,
    '--web.listen-address=127.0.0.1:0',
  ]);
  await until(
    () => `Prometheus listens\n${program.printed()}`,
    () => portOf(program.pid) !== undefined,
  );
  const asked = new Asked(program);
  await until(
    () => `Prometheus is ready\n${program.printed()}`,
    async () => (await fetch(`${asked.url}/-/ready`)).status === 200,
  );
  return asked;
}

/** Prometheus, asked over its own API. https://prometheus.io/docs/prometheus/latest/querying/api/ */
class Asked {
  readonly url: string;

  constructor(program: Program) {
    this.url = `http://127.0.0.1:${portOf(program.pid)!}`;
  }

  async values(query: string): Promise<number[]> {
    const { result } = await this.#get<{ result: { value: [number, string] }[] }>(
      `query?query=${encodeURIComponent(query)}`,
    );
    return result.map(({ value: [, text] }) => Number(text));
  }

  async rules(): Promise<{ name: string; health: string; lastError?: string }[]> {
    const { groups } = await this.#get<{ groups: { rules: { name: string; health: string }[] }[] }>('rules');
    return groups.flatMap(({ rules }) => rules);
  }

  async firing(): Promise<string[]> {
    const { alerts } = await this.#get<{ alerts: { state: string; labels: { alertname: string } }[] }>(
      'alerts',
    );
    return alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname);
  }

  async #get<T>(path: string): Promise<T> {
    const response = await fetch(`${this.url}/api/v1/${path}`);
    const answer = (await response.json()) as { status: string; data: T; error?: string };
    assert.equal(answer.status, 'success', `${path}: ${answer.error}`);
    return answer.data;
  }
}
