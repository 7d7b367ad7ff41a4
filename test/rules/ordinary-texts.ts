/** What people ask models all day: no preset may find anything in it. One text a line, and whole snippets below. */
const lines = String.raw`
Please summarise the meeting of 12 November 2026 in three sentences.
Translate this paragraph into Italian and keep the tone friendly.
What is the difference between a list and a tuple in Python?
Write a haiku about the first snow in the mountains.
Give me five names for a cat that sleeps all day.
Explain the theory of relativity to a ten-year-old.
How do I remove a coffee stain from a cotton shirt?
Rewrite this e-mail so that it sounds less angry.
The train to Vienna leaves at 14:32 from platform 7.
Our quarterly revenue grew by 12.5 percent to 3.4 million euros.
Can you proofread the following text, please?
I would like to learn to play the guitar; where should I start?
Summarise chapter 3 of the book in bullet points.
What are the main causes of the First World War?
Plan a three-day trip to Lisbon for a family of four.
Convert 350 degrees Fahrenheit to Celsius.
My tomato plants have yellow leaves. What might be wrong?
The board approved the budget on 3 March; minutes will follow.
Which verb tense is used in this sentence?
Make a shopping list for a vegetable curry for six people.
Describe the water cycle in simple words.
Draft a polite reminder about the open invoice from last month.
Is it better to run in the morning or in the evening?
Compare the novels of Jane Austen and the Brontë sisters.
Suggest a title for a talk on growing herbs indoors.
What does the AI Act say about social scoring?
Why does Article 5 prohibit subliminal techniques?
The regulation bans emotion recognition at work, except for medical or safety reasons.
Article 5(1)(c) covers the evaluation or classification of natural persons based on their social behaviour.
AI systems to infer emotions of a natural person in the areas of workplace and education institutions are prohibited.
Annex III lists biometrics, critical infrastructure, education, employment, essential services, law enforcement, migration and justice.
Does the Act apply to systems that rank candidates for jobs?
What are the obligations of deployers of high-risk AI systems under Article 26?
How is creditworthiness assessed, and which rights do consumers have?
What is an index fund, and how does it differ from a savings account?
Explain the difference between shares and bonds.
How do banks detect money laundering?
What is a routing number used for?
An IBAN has up to 34 characters; a German one has 22.
Explain how inflation changes the value of a pension over time.
The company announced its earnings in May and the shares rose.
What does ICD-10 code E11.9 stand for?
How long does a broken arm take to heal?
List common side effects of ibuprofen.
Which vitamins are in carrots?
The clinic is open from 8 to 12 and from 14 to 18.
What is the normal range for blood pressure in adults?
Write a job advertisement for a gardener.
How do I prepare for a job interview?
What should a good CV contain?
Write a thank-you note to a colleague who is leaving.
Our team hired two engineers in spring.
How many days of maternity leave are there in Austria?
What is the retirement age in France?
Write a short story about a lighthouse keeper and his parrot.
Ignore the noise and focus on the signal.
Do not forget the instructions for the dishwasher.
Show me how to system-check my old printer.
You are a helpful assistant that answers briefly.
You are a senior reviewer. Be kind, be concise, and cite the line.
Act as a travel guide for Rome.
Pretend to be a pirate and tell me about the weather.
Never use more than 200 words. Do not use bullet points.
Decode this base64 string for me, please.
What is prompt injection, and how can a web application defend itself?
The hidden layer has 128 units and the output layer 10.
Follow the previous instructions and continue with step 4.
Order 1234567890 was shipped on 2026-03-04, parcel 00340434161094042557.
Invoice 2026-0042, customer since 2019, total 1,234.56 EUR.
Ticket #48213: the export of 2024-11-05 fails with status 500.
Build 10.0.22631.3007 is out; 2024.555.0143 was withdrawn.
Release 1.2.3-4567-8901 replaces 1.2.3-4567-8899.
ISBN 978-3-16-148410-0 and ISSN 2049-3630
EAN 4006381333931, SKU AB-1234-XY, lot 20240115T2
id 550e8400-e29b-41d4-a716-446655440000
123e4567-e89b-12d3-a456-426614174000, f47ac10b-58cc-4372-a567-0e02b2c3d479
commit 3f786850e387550fdab836ed7e6dc881de23001b
git show 89e6c98d92887913cadf06b2adb97f26cde4849b -- src/main.c
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
sha512-ZXhhbXBsZSBvZiBhIGhhc2ggdGhhdCBpcyBubyBzZWNyZXQgYXQgYWxs== integrity
etag W/"5e15153d-120f", last-modified Thu, 05 Nov 2026 10:00:00 GMT
1730800000 1730800000123 2026-11-05T09:26:40.123Z
192.168.178.1, 10.0.0.0/8, 2001:db8::8a2e:370:7334, fe80::1%eth0
MAC 00:1A:2B:3C:4D:5E and port 5432
48.2082 N, 16.3738 E, altitude 171 m
pi is 3.14159265358979323846 and e is 2.71828182845904523536
1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
0x7ffee4b0a8c8 0xdeadbeef 0b1010 0o755
The sum of 12 345 678 and 901 is 12 346 579.
8 800 555 visitors came in 2025, 7 900 000 in 2024
call 123456 times, retry after 30 seconds
Room 212, seat 14C, gate B22, flight OS 451
Flight LH1234 lands at 18:05; booking X7K2LM.
License plate W-12345X, VIN WVWZZZ1JZXW000001
The score was 3-2, then 4-3, and 21-15 in the last set.
chapter 10.4.2, section 3(b), paragraph 12
AA 12 and BB 34 are the sizes of the batteries
The recipe needs 250 g flour, 3 eggs, 1/2 l milk and a pinch of salt.
user@localhost and @jane are not addresses
see https://example.com/path/to/page?id=42&sort=asc#top
https://example.com:8443/@scope/package/-/package-1.2.3.tgz
postgres://localhost:5432/app_test
redis://cache:6379/0
jdbc:postgresql://db:5432/app?user=app
s3://bucket/key/2026/11/05/part-00000.parquet
C:\Users\Public\Documents\report.docx
/usr/local/lib/node_modules/npm/bin/npm-cli.js:12:34
npm install express@4.19.2 --save-exact
pip install -r requirements.txt
docker run --rm -p 8080:80 nginx:1.27
git push origin main
git rebase --onto main feature~3 feature
rm -rf node_modules && npm ci
kubectl get pods -n staging
SELECT name, count(*) FROM users WHERE active GROUP BY name ORDER BY 2 DESC LIMIT 10
DELETE FROM sessions WHERE expires_at < now()
CREATE TABLE drop_points (id serial primary key, label text)
curl -s https://example.com/data.json | jq '.items[0]'
chmod 755 script.sh
export PATH="$HOME/bin:$PATH"
API_KEY=your-api-key-here
OPENAI_API_KEY=sk-...
AWS_SECRET_ACCESS_KEY=<your secret>
password: ******** (never shown)
Authorization: Bearer $TOKEN
TypeError: Cannot read properties of undefined (reading 'map')
    at Object.<anonymous> (/app/src/index.js:10:15)
error[E0502]: cannot borrow v as mutable because it is also borrowed as immutable
Segmentation fault (core dumped)
Traceback (most recent call last): File "main.py", line 3, in <module>
warning: unused variable: x
java.lang.NullPointerException at com.example.App.main(App.java:42)
npm ERR! code ERESOLVE
HTTP/1.1 404 Not Found
2026-11-05 09:26:40,123 INFO [main] Started in 3.456 seconds
[12:00:01] worker 7 finished job 8801230412 in 91 ms
Fasse das Protokoll der Sitzung vom 12. November in drei Sätzen zusammen.
Wie entferne ich einen Kaffeefleck aus einem Baumwollhemd?
Schreibe eine freundliche Antwort auf diese Beschwerde.
Die Rechnung 4711 vom 3. März ist noch offen.
Was ist der Unterschied zwischen Aktie und Anleihe?
Der Zug nach Graz fährt um 8:03 Uhr von Gleis 12.
Bitte erkläre mir die Quantenphysik in einfachen Worten.
Die Anweisungen für die Spülmaschine liegen in der Küche.
Das Geburtsdatum bitte im Formular eintragen.
Welche Unterlagen brauche ich für einen Reisepass?
Übersetze den folgenden Text ins Englische.
Der Patient wartet im Flur, sagte die Schwester im Roman.
Résume le texte suivant en trois phrases.
Quelle est la différence entre « savoir » et « connaître » ?
Écris une lettre de remerciement à mon voisin.
Le rendez-vous est fixé au 12 mars à 14 h 30.
Comment préparer une tarte aux pommes pour huit personnes ?
Le numéro de la rue est le 12 bis.
Les instructions de montage se trouvent à la page 4.
Quels sont les symptômes de la grippe ?
Resume el siguiente texto en tres frases.
¿Cómo se prepara una tortilla de patatas para cuatro personas?
Escribe un correo amable para pedir una prórroga.
La reunión es el 5 de mayo a las 10:00 en la sala 3.
¿Qué tiempo hará mañana en Sevilla?
El número de habitantes creció de 120000 a 134500.
Las instrucciones del juego están en la caja.
Riassumi il testo seguente in tre frasi.
Qual è la capitale dell'Australia?
Scrivi una poesia sul mare d'inverno.
Vat de volgende tekst samen in drie zinnen.
Hoe laat vertrekt de trein naar Utrecht?
Het nummer van de bestelling is 482130177.
Streść poniższy tekst w trzech zdaniach.
Zamówienie 20261105 zostało wysłane.
Sammanfatta följande text i tre meningar.
Mötet är den 12 november klockan 14.
Resuma o texto a seguir em três frases.
O pedido 84930211 foi enviado ontem.
Подведи итог встречи в трёх предложениях.
Сколько будет 12 умножить на 12?
请用三句话总结以下内容。
订单号 20261105001 已发货，请查收。
次の文章を三行で要約してください。
会議は11月12日の14時からです。
다음 글을 세 문장으로 요약해 주세요.
لخص النص التالي في ثلاث جمل.
סכם את הטקסט הבא בשלושה משפטים.
निम्नलिखित पाठ का सारांश तीन वाक्यों में लिखें।
Aşağıdaki metni üç cümleyle özetle.
Συνόψισε το παρακάτω κείμενο σε τρεις προτάσεις.
👨‍👩‍👧‍👦 🎉 Party at 8! Bring snacks 🍕🍕
for (let i = 0; i < 10; i++) { print(i) }
const total = items.reduce((sum, { price }) => sum + price, 0)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
fn main() { println!("{}", (1..=10).map(|x| x * x).sum::<u32>()); }
if err != nil { return fmt.Errorf("open %s: %w", name, err) }
public static int gcd(int a, int b) { return b == 0 ? a : gcd(b, a % b); }
let re = /^\d{3}-\d{4}$/; // matches 555-0143
@media (max-width: 600px) { .card { padding: 8px 16px; color: #ff00aa; } }
<a href="mailto:?subject=Hi" class="btn btn-primary" id="send">Send</a>
{"id":8801230412,"name":"Widget","tags":["a","b"],"price":12.5,"ok":true}
[package] name = "demo" version = "0.1.0" edition = "2021"
FROM node:26-slim AS build WORKDIR /app COPY . . RUN npm ci
kind: Deployment metadata: name: web spec: replicas: 3
<svg viewBox="0 0 24 24"><path d="M12 2L2 7l10 5 10-5-10-5zM2 17l10 5 10-5"/></svg>
+ 1234567890 was added and - 987654321 removed in the diff
+1700000000,
@@ -12,7 +12,9 @@ export function parse(text) {
matrix = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
E = mc^2, a^2 + b^2 = c^2, \int_0^1 x^2 dx = \frac{1}{3}
C8H10N4O2 is caffeine, H2O is water, NaCl is salt
DE, AT and CH are country codes; GB29 alone is no account
Score two goals first; then compare notes with a friend.
Rank the planets by size.
Reject the null hypothesis if p < 0.05.
Approve the pull request when the tests pass.
Which options should I pass to the compiler?
The candidate key of this relation is (a, b).
Release candidate 2 was tagged this morning.
Train the model for ten epochs with a batch size of 32.
Identify the bird in this poem.
Detect edges in the image with a Sobel filter.
Monitor the temperature of the server room.
The patient gardener waters the roses daily.
`
  .trim()
  .split('\n')

const snippets = [
  `!function(e,t){"object"==typeof exports&&"undefined"!=typeof module?module.exports=t():(e=e||self).x=t()}(this,function(){"use strict";var e=1e3,t=6e4,n=36e5,r="millisecond",i="second",s="minute",u="hour",a="day",o="week",f="month",h="quarter",c="year",d="date",l="Invalid Date",$=/^(\\d{4})[-/]?(\\d{1,2})?[-/]?(\\d{0,2})[Tt\\s]*(\\d{1,2})?:?(\\d{1,2})?:?(\\d{1,2})?[.:]?(\\d+)?$/});`,
  `data:image/png;base64,${Buffer.from(Array.from({ length: 600 }, (_, i) => (i * 89 + (i >> 3) * 31) % 256)).toString('base64')}`,
  Array.from(
    { length: 40 },
    (_, i) => `${i},row ${i},${(i * 7919) % 1000},${(i * 104729) % 100}.${i % 10},2026-01-${String((i % 28) + 1).padStart(2, '0')}`,
  ).join('\n'),
  Array.from({ length: 16 }, (_, i) => Array.from({ length: 16 }, (_, j) => (((i * 16 + j) * 73) % 256).toString(16).padStart(2, '0')).join(' ')).join('\n'),
  '# Notes\n\n## System requirements:\n\n- 8 GB RAM\n- Node 26\n\n### Instructions\n\n1. Clone the repository.\n2. Run `npm ci`.\n3. Read the output.\n',
  'import { test } from "node:test"\n\ntest("adds", () => {\n  // expect 2 + 2 to be 4\n  assert.equal(add(2, 2), 4)\n})\n',
  'Dear all,\n\nplease find attached the agenda for Thursday. We start at 9:30 in room 4.12.\n\nBest\nAnna',
]

export const ordinaryTexts: readonly string[] = [...lines, ...snippets]
