import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Starts the service once on a temporary file and stops it as soon as it is ready, which fills Node's compile cache
 * (start.js). Used when an image is built; fails if the service cannot start.
 */
const folder = mkdtempSync(join(tmpdir(), 'warm-up-'));
const service = spawn(process.execPath, [join(import.meta.dirname, '../start.js')], {
  env: { ...process.env, APP_PORT: '0', HOST: '127.0.0.1', DEDUPLICATION_DB_PATH: join(folder, 'events.db') },
  stdio: ['ignore', 'pipe', 'inherit'],
});
service.stdout.on('data', (lines: Buffer) => {
  if (lines.includes('"port"')) service.kill('SIGTERM');
});
service.on('exit', (code) => {
  rmSync(folder, { recursive: true, force: true });
  process.exitCode = code ?? 1;
});
