import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prometheusMissing, promtool } from '../../../../lab/prometheus.ts';
import { pathOf } from '../../../../lab/repository.ts';
import { eventWith } from '../support/events.ts';
import { Group } from '../support/group.ts';
import { scraped } from '../support/metrics.ts';
import { SECRET } from '../support/receiver.ts';
import { TestServer } from '../support/server.ts';

const missing = prometheusMissing();
if (missing === null) testsWithPromtool();
else if (process.env['REQUIRE_PROMTOOL'] === '1') {
  test('promtool can be run, as REQUIRE_PROMTOOL=1 asks', () => assert.fail(missing));
} else test('metrics and rules before promtool', { skip: missing }, () => {});

function testsWithPromtool(): void {
  test('promtool has nothing to say against the page, in names, units and help [MET-1]', async (t) => {
    const server = await TestServer.start(t, { METRICS_TOPICS: 'orders.>', WEBHOOK_ALLOW_PRIVATE: 'true' });
    await server.publish(eventWith());
    await new Group(server.url, 'pulled').make();
    await new Group(server.url, 'pushed').make({ push: { url: 'http://127.0.0.1:9', secret: SECRET } });
    const { text } = await scraped(server.url);
    assert.match(text, /webhook_paused\{group="pushed"\}/);
    assert.deepEqual(promtool(['check', 'metrics'], text), { isGood: true, said: '' });
  });

  test('promtool notices a counter without _total', () => {
    const { isGood, said } = promtool(['check', 'metrics'], '# HELP x_y X.\n# TYPE x_y counter\nx_y 1\n');
    assert.ok(!isGood && said.includes('_total'), said);
  });

  test('promtool takes the alert rules', () => {
    const { isGood, said } = promtool(['check', 'rules', pathOf('docs/grafana/alerts.yml')]);
    assert.ok(isGood, said);
  });
}
