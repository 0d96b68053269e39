import { keysCommand } from './keys-command.ts';
import { ConfigError, readEnvFile } from '../config.ts';

try {
  readEnvFile();
  const file = process.env['API_KEYS_FILE'];
  process.exitCode = await keysCommand(process.argv.slice(2), file, process.stdout, process.stderr);
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`keys: ${error.message}\n`);
  process.exitCode = 2;
}
