import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

// Files in the artifacts folder are listed in the result with their size and hash.
const folder = process.env.CONDUCTOR_ARTIFACTS_DIR ?? '.';
mkdirSync(folder, { recursive: true });
writeFileSync(path.join(folder, 'report.json'), `${JSON.stringify({ node: process.version })}\n`);
console.log('report written');
