/** Programs and what configures them, as developers show them to models. */
import type { Random } from './random.ts'

type Writer = (random: Random) => string

const nouns = ['item', 'order', 'user', 'node', 'token', 'cache', 'event', 'queue', 'invoice', 'parcel', 'key', 'address', 'phone', 'card', 'secret']
const verbs = ['load', 'save', 'merge', 'count', 'find', 'drop', 'send', 'parse', 'mask', 'rotate', 'hash']
const noun = (r: Random): string => r.pick(nouns)
const verb = (r: Random): string => r.pick(verbs)
const capital = (word: string): string => word[0].toUpperCase() + word.slice(1)
const type = (r: Random): string => capital(noun(r)) + r.pick(['', 'Store', 'Reader', 'Error', 'List'])
const version = (r: Random): string => `${r.int(0, 24)}.${r.int(0, 30)}.${r.int(0, 40)}`

export const code: Readonly<Record<string, Writer>> = {
  JavaScript: (r) =>
    r.lines(
      r.int(3, 9),
      () =>
        `const ${verb(r)}${capital(noun(r))} = (${noun(r)}) => ${noun(r)}s.filter((x) => x.${noun(r)}Id !== ${r.int(0, 99999)}) // at line ${r.int(1, 900)}`,
    ),
  TypeScript: (r) =>
    `export interface ${type(r)} {\n${r.lines(r.int(3, 8), () => `  readonly ${noun(r)}${capital(verb(r))}: ${r.pick(['string', 'number', 'Map<string, Buffer>', 'unknown[]'])}`)}\n}\n@Injectable()\nexport class ${type(r)} { @Input() ${noun(r)} = ${r.int(1, 9999)} }`,
  Python: (r) =>
    `@dataclass\nclass ${type(r)}:\n${r.lines(r.int(2, 6), () => `    ${noun(r)}_${verb(r)}: int = 0x${r.hex(r.int(2, 8))}`)}\n\n@pytest.mark.parametrize("n", [${r.times(6, () => r.int(0, 99999)).join(', ')}])\ndef test_${verb(r)}_${noun(r)}(n):\n    assert ${verb(r)}(n) == f"{n:08d}"`,
  Go: (r) =>
    `func (s *${type(r)}) ${capital(verb(r))}(ctx context.Context, id int64) error {\n\tif err := s.db.QueryRowContext(ctx, "SELECT ${noun(r)}_id FROM ${noun(r)}s WHERE id = $1", id).Scan(&s.${noun(r)}); err != nil {\n\t\treturn fmt.Errorf("${verb(r)} %d: %w", id, err)\n\t}\n\treturn nil\n}\nrequire github.com/x/${noun(r)} v${version(r)} // indirect`,
  Rust: (r) =>
    `use std::collections::HashMap;\nuse crate::${noun(r)}::{self, ${type(r)}};\n\n#[derive(Debug, Clone)]\npub struct ${type(r)}<'a> { ${noun(r)}: &'a [u8; ${r.int(2, 64)}], seen: HashMap<u64, u128> }\n\nimpl fade::cafe::Beef for ${type(r)}<'_> {\n    fn ${verb(r)}(&self) -> u64 { 0x${r.hex(4)}_${r.hex(4)}_${r.hex(4)}_${r.hex(4)} ^ ${r.int(1, 9)}_${r.digits(3)}_${r.digits(3)} }\n}`,
  Java: (r) =>
    `@Override\npublic Optional<${type(r)}> ${verb(r)}(long ${noun(r)}Id) {\n    private static final long serialVersionUID = ${r.pick(['', '-'])}${r.int(6, 8)}${r.digits(18)}L;\n    return ${noun(r)}s.stream().map(${type(r)}::get${capital(noun(r))}).findFirst();\n}`,
  'C and macros': (r) =>
    `#define ${noun(r).toUpperCase()}_MAX ${r.int(1, 4096)}u\nstatic const uint32_t table[] = {\n${r.lines(r.int(3, 8), () => `  ${r.times(8, () => `0x${r.hex(8)}`).join(', ')},`)}\n};\nint ${verb(r)}(struct ${noun(r)} *p) { return p->len & ~(1 << ${r.int(1, 31)}); }`,
  'C++': (r) =>
    `namespace abc::def {\nstd::unique_ptr<${type(r)}> ${verb(r)}(std::string_view s) {\n  auto it = ace::bad::${noun(r)}.find(${r.int(1, 9)}'${r.digits(3)}'${r.digits(3)});\n  return dead::beef::make<${type(r)}>(it->second, ${r.int(0, 9)}.${r.digits(15)});\n}\n}  // namespace abc::def`,
  Ruby: (r) =>
    `class ${type(r)} < ApplicationRecord\n  has_many :${noun(r)}s, dependent: :destroy\n  validates :${noun(r)}, format: /\\A[A-Z]{2}\\d{${r.int(2, 9)}}\\z/\n  def ${verb(r)} = Face::Bed.new(@${noun(r)}, @${noun(r)}_at)\nend`,
  PHP: (r) =>
    `<?php\nnamespace App\\${type(r)};\nfinal class ${type(r)} {\n    public function ${verb(r)}(int $${noun(r)}): string { return '${noun(r)}' . '-' . $${noun(r)} . "_" . self::${noun(r).toUpperCase()}; }\n}`,
  Shell: (r) =>
    `#!/bin/sh\nset -eu\nexport ${noun(r).toUpperCase()}_KEY="\${${noun(r).toUpperCase()}_KEY:?not set}"\nfor f in ${noun(r)}-{1..${r.int(2, 40)}}.log; do\n  awk '{ n[$${r.int(1, 9)}]++ } END { for (k in n) print n[k], k }' "$f" | sort -rn | head -${r.int(3, 20)}\ndone\nssh deploy@"$HOST" 'systemctl restart ${noun(r)}'`,
  'C#': (r) =>
    `public sealed record ${type(r)}(Guid Id, decimal ${capital(noun(r))}) : I${type(r)}\n{\n    public string Key => $"{Id:N}-{${capital(noun(r))}:0.00}";\n    [Range(1, ${r.int(2, 99999)})] public int ${capital(noun(r))}Count { get; init; } = ${r.int(1, 9999)};\n}`,
  Kotlin: (r) =>
    `data class ${type(r)}(val ${noun(r)}: Long = ${r.int(1, 9)}_${r.digits(3)}_${r.digits(3)}L)\nfun ${type(r)}.${verb(r)}() = with(this@${verb(r)}) { ${noun(r)} shl ${r.int(1, 8)} }`,
  SQL: (r) =>
    `SELECT ${noun(r)}.id, count(*) FILTER (WHERE amount > ${r.int(1, 9999)}.${r.digits(2)})\nFROM ${noun(r)}s ${noun(r)} JOIN ${noun(r)}_${noun(r)}s USING (id)\nWHERE created_at BETWEEN '${r.int(2019, 2026)}-0${r.int(1, 9)}-1${r.int(0, 9)}' AND now() - interval '${r.int(1, 90)} days'\nGROUP BY 1 ORDER BY 2 DESC;\nINSERT INTO ${noun(r)}s VALUES ${r.times(8, () => `(${r.int(1, 99999)}, '${noun(r)}', ${r.int(1, 999)}.${r.digits(2)})`).join(', ')};`,
  assembly: (r) =>
    r.lines(
      r.int(6, 16),
      (i) =>
        `  40${r.hex(4)}:\t${r.times(r.int(2, 7), () => r.hex(2)).join(' ')}\t${r.pick(['mov', 'lea', 'add', 'xor', 'cmp'])}    %r${r.pick(['ax', 'bx', 'cx', 'dx'])},0x${r.hex(2)}(%rsp)  # ${i}`,
    ),
  diff: (r) =>
    `diff --git a/src/${noun(r)}.ts b/src/${noun(r)}.ts\nindex ${r.hex(7)}..${r.hex(7)} 100644\n--- a/src/${noun(r)}.ts\n+++ b/src/${noun(r)}.ts\n@@ -${r.int(1, 900)},${r.int(3, 20)} +${r.int(1, 900)},${r.int(3, 20)} @@ export function ${verb(r)}() {\n-  return ${r.int(1000, 999999)}\n+  return ${r.int(1000, 999999)} + ${r.int(1, 9)}\n }`,
  'minified JavaScript': (r) =>
    `!function(){${r.times(r.int(20, 60), () => `function ${r.from('abcdefgh', 2)}(${r.from('tnre', 1)}){return ${r.from('tnre', 1)}.${r.from('abcxyz', 2)}[${r.int(0, 255)}]^${r.int(0, 4294967295)}>>>${r.int(1, 31)}}`).join('')}}();`,
  'minified CSS': (r) =>
    r
      .times(
        r.int(20, 60),
        () =>
          `.${r.from('abcdefghij', 3)}-${r.int(1, 900)}{margin:${r.int(0, 64)}px ${r.int(0, 9)}.${r.digits(4)}rem;color:#${r.hex(6)};flex:${r.int(0, 1)} 1 ${r.int(5, 95)}.${r.digits(6)}%}`,
      )
      .join(''),
  'style sheet': (r) =>
    `@media (min-width: ${r.int(320, 1600)}px) {\n  .${noun(r)}::before, a[href^="mailto:"]::after {\n    content: "\\201${r.int(0, 9)}";\n    transform: matrix(${r.times(6, () => `${r.int(0, 1)}.${r.digits(5)}`).join(', ')});\n  }\n}`,
  HTML: (r) =>
    `<table>${r.times(r.int(3, 8), () => `<tr><td>${noun(r)}</td><td>&euro;&nbsp;${r.int(1, 999)}.${r.digits(2)}</td><td>${r.int(1, 9999)}&#8239;km</td><td data-id="${r.int(1000, 99999)}">&#x2713;</td></tr>`).join('\n')}</table><!-- ${verb(r)} & ${noun(r)} -->`,
  SVG: (r) =>
    `<svg viewBox="0 0 ${r.int(16, 1200)} ${r.int(16, 800)}"><path fill="#${r.hex(6)}" d="M${r.times(r.int(20, 60), () => `${r.pick(['', 'L', 'c', 'h', 's'])}${r.pick(['', '-'])}${r.int(0, 900)}.${r.digits(3)} ${r.int(0, 400)}.${r.digits(2)}`).join(' ')}z"/></svg>`,
  'JSON settings': (r) =>
    JSON.stringify(
      {
        name: `@${noun(r)}/${verb(r)}`,
        version: version(r),
        port: r.int(1024, 65535),
        [`${noun(r)}Ttl`]: r.int(1, 86400),
        ratio: Number(`0.${r.digits(9)}`),
        features: r.times(4, () => verb(r)),
        retries: { [noun(r)]: r.int(0, 9) },
      },
      null,
      2,
    ),
  YAML: (r) =>
    `apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: ${noun(r)}-${r.hex(5)}\nspec:\n  replicas: ${r.int(1, 12)}\n  template:\n    spec:\n      containers:\n        - image: registry.internal/${noun(r)}:${version(r)}@sha256:${r.hex(64)}\n          resources: { limits: { cpu: ${r.int(1, 4)}00m, memory: ${r.int(1, 8)}Gi } }\n          env:\n            - { name: ${noun(r).toUpperCase()}_TOKEN, valueFrom: { secretKeyRef: { name: ${noun(r)}, key: token } } }`,
  TOML: (r) =>
    `[package]\nname = "${noun(r)}"\nversion = "${version(r)}"\n\n[dependencies]\n${r.lines(r.int(3, 9), () => `${noun(r)}-${verb(r)} = { version = "${version(r)}", features = ["${verb(r)}"] }`)}`,
  Terraform: (r) =>
    `resource "aws_security_group_rule" "${noun(r)}" {\n  type      = "ingress"\n  from_port = ${r.int(1024, 65535)}\n  to_port   = ${r.int(1024, 65535)}\n  key_id    = var.${noun(r)}_key_id\n}\n# plan: ${r.int(0, 40)} to add, ${r.int(0, 9)} to change`,
  Dockerfile: (r) =>
    `FROM node:${version(r)}-slim AS build\nWORKDIR /app\nCOPY --chown=node:node . .\nRUN --mount=type=secret,id=${noun(r)} npm ci\nEXPOSE ${r.int(1024, 65535)}\nHEALTHCHECK --interval=${r.int(5, 60)}s CMD wget -qO- localhost:${r.int(1024, 65535)}/health`,
  crontab: (r) =>
    r.lines(r.int(4, 12), () => `${r.int(0, 59)} ${r.int(0, 23)} * * ${r.int(0, 6)} /usr/local/bin/${verb(r)}-${noun(r)} --max ${r.int(1, 9999)}`),
  'regular expressions': (r) =>
    r.lines(r.int(3, 8), () => `const ${noun(r)} = /^(?:\\d{${r.int(2, 4)}}[- ]?){${r.int(2, 4)}}\\d{${r.int(1, 4)}}$|[\\w.+-]+@[\\w-]+\\.[a-z]{2,}/i`),
  LaTeX: (r) =>
    `\\begin{align}\n  \\int_0^{${r.int(1, 9)}} x^{${r.int(2, 9)}}\\,dx &= \\frac{${r.int(1, 999)}}{${r.int(2, 99)}} \\approx ${r.int(0, 99)}.${r.digits(8)} \\\\\n  \\sum_{k=1}^{n} a_k &\\le ${r.int(1, 99)} \\cdot 10^{-${r.int(2, 12)}}\n\\end{align}`,
  'a notebook': (r) =>
    JSON.stringify({
      cells: r.times(4, (i) => ({
        cell_type: 'code',
        execution_count: i,
        source: [`df.${verb(r)}("${noun(r)}")\n`],
        outputs: [{ text: [r.times(5, () => `${r.int(-2, 2)}.${r.digits(6)}`).join('  ')] }],
      })),
      nbformat: 4,
      nbformat_minor: 5,
    }),
}
