// Writes the assets of a built page a second and third time, compressed, so that the server need not do it for each reader.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const [folder] = process.argv.slice(2);
const TEXT = /\.(js|css|svg)$/;
const QUALITY = 9; // more takes minutes for an editor, and gains a hundredth

for (const name of readdirSync(folder).filter((file) => TEXT.test(file))) {
  const content = readFileSync(`${folder}/${name}`);
  writeFileSync(`${folder}/${name}.gz`, gzipSync(content, { level: 9 }));
  writeFileSync(`${folder}/${name}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: QUALITY } }));
}
