// Recomputes the outputs of residual networks of tanh from a file of golden vectors: node reader.mjs FILE
import { readFileSync } from "node:fs";

const { cases } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const dot = (a, b) => a.reduce((sum, z, i) => sum + z * b[i], 0);
const norm = (a) => Math.hypot(...a);

for (const { id, settings, expected, ...arrays } of cases) {
  const [U, W, X] = [arrays.U, arrays.W, arrays.X].map((A) => A.map((row) => row.map(Number)));
  const v = arrays.v.map(Number), root = Math.sqrt(v.length);
  const [T, su, sw, sv] = ["horizon", "sigma_u", "sigma_w", "sigma_v"].map((name) => Number(settings[name]));
  const outputs = X.map((x) => {
    let h = U.map((row) => su * dot(row, x));
    for (let layer = 0; layer < settings.depth; layer++) {
      const phi = h.map(Math.tanh);
      h = h.map((z, i) => z + (T / settings.depth) * (sw / root) * dot(W[i], phi));
    }
    return (sv / root) * dot(v, h.map(Math.tanh));
  });
  const { value, condition } = expected.resnet_predict;
  const error = norm(outputs.map((f, i) => f - Number(value[i]))) / norm(value.map(Number));
  const passed = error <= 100 * Number(condition) * Number.EPSILON;
  console.log(`${passed ? "ok" : "WRONG"} ${id} ${error.toExponential(1)}`);
  if (!passed) process.exitCode = 1;
}
