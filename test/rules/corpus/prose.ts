/** What people write in their own languages: questions, notes and letters, with numbers, dates and names but nobody's address. */
import type { Random } from './random.ts'

type Writer = (random: Random) => string

/** Sentences of one language; `#` stands for a small number, `@Y` for a year. */
const spoken =
  (sentences: string): Writer =>
  (random) =>
    random
      .times(random.int(3, 7), () => random.pick(sentences.trim().split('\n')))
      .join(random.pick([' ', '\n', '\n\n']))
      .replaceAll('#', () => String(random.int(2, 480)))
      .replaceAll('@Y', () => String(random.int(1950, 2026)))

export const prose: Readonly<Record<string, Writer>> = {
  English: spoken(`
Could you look at the draft and tell me at what point it loses you?
We met at noon, dot the i's, and left at # past three.
The report for @Y has # pages, of which only the first three matter.
She said "look at example # dot by dot", and everybody laughed.
Please call me when you arrive at the station; the code of the door is on the note.
I have # apples, and my neighbour has twice as many: how many do we have together?
At first glance the figures of @Y look better than those of last year.
Write a speech of # words on why bees matter to cities.
The key to a good bread is patience, and a secret is to keep the dough cold.
Our project was late; the Northern Lights, however, were on time.
How would you explain recursion to my grandmother in # sentences?
The password policy asks for # characters, which nobody likes.
Social security was introduced in @Y, and has changed since.`),
  German: spoken(`
Bitte fasse das Protokoll vom #. März @Y zusammen.
Die Heizkostenabrechnung weist # Euro aus, das scheint mir zu viel.
Wer kann mir erklären, warum der Zug schon wieder # Minuten Verspätung hat?
Der Donaudampfschifffahrtsgesellschaftskapitän wohnt im Haus Nummer #.
Im Jahr @Y wurden # Bäume gepflanzt.
Schreibe einen Brief an die Hausverwaltung, freundlich, aber bestimmt.
Die Telefonzelle an der Ecke ist verschwunden, ebenso der Briefkasten.
Für den Kuchen brauche ich # g Mehl und eine Prise Salz.
Das Passwort steht nirgends, und das ist gut so.`),
  French: spoken(`
Pourriez-vous résumer le chapitre # en quelques lignes ?
L’été de @Y fut le plus chaud depuis # ans.
Le musée est fermé le lundi ; l’entrée coûte # euros.
Rédige une lettre de motivation pour un poste de jardinier.
Où se trouve l’arrêt de bus le plus proche de la rue des Écoles ?
Il y a # élèves dans l’école, dont la moitié apprend l’allemand.
Le téléphone sonne, mais personne ne répond.`),
  Spanish: spoken(`
¿Puedes resumir el capítulo # en tres frases?
El museo abrió sus puertas en @Y y recibe # visitas al día.
Mañana lloverá, según dicen, durante # horas.
Escribe un cuento sobre un farero y su loro.
La contraseña la sabe solo el portero, que está de vacaciones.
El teléfono de la oficina no funciona desde el lunes.
¿Cuántos kilómetros hay de Burgos a León, # o más?`),
  Portuguese: spoken(`
Podes resumir o capítulo # em três frases?
A ponte foi construída em @Y e tem # metros.
Amanhã chove, dizem, durante # horas.
Escreve uma carta ao senhorio sobre a caldeira.
O comboio das # sai da linha três.`),
  Italian: spoken(`
Puoi riassumere il capitolo # in tre frasi?
Il ponte fu costruito nel @Y ed è lungo # metri.
Domani piove, dicono, per # ore.
Scrivi una lettera al padrone di casa per la caldaia.
Il treno delle # parte dal terzo binario.`),
  Russian: spoken(`
Пожалуйста, перескажи главу # в трёх предложениях.
В @Y году в городе жило # тысяч человек.
Завтра обещают дождь, который продлится # часов.
Напиши письмо соседу о кошке, которая ходит по крыше.
Поезд опоздал на # минут, и мы пошли пешком.
Телефон в прихожей молчит уже третий день.
Какой пароль? Никто его не помнит.
Проект закончен, осталось оформить отчёт на # страниц.`),
  Ukrainian: spoken(`
Будь ласка, перекажи розділ # у трьох реченнях.
У @Y році в місті жило # тисяч людей.
Завтра обіцяють дощ, який триватиме # годин.
Їжак прийшов на ґанок і чекає на молоко.`),
  Greek: spoken(`
Συνόψισε το κεφάλαιο # σε τρεις προτάσεις.
Το @Y η πόλη είχε # χιλιάδες κατοίκους.
Αύριο θα βρέξει για # ώρες, λένε.
Γράψε ένα γράμμα στον γείτονα για τη γάτα του.`),
  Armenian: spoken(`
Խնդրում եմ ամփոփիր # գլուխը երեք նախադասությամբ։
@Y թվականին քաղաքում ապրում էր # հազար մարդ։
Վաղը անձրև է գալու, ասում են։`),
  Cherokee: spoken(`
ᎣᏏᏲ, ᏙᎯᏧ?
ᏩᏙ, ᎣᏍᏓ ᎢᎦ.
ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ #.`),
  Arabic: spoken(`
من فضلك لخص الفصل # في ثلاث جمل.
في عام @Y كان عدد سكان المدينة # ألفا.
الدرس رقم ٤٥ يبدأ الساعة ٩:٣٠ وينتهي الساعة ١١:١٥.
اكتب رسالة إلى الجار عن القطة التي تمشي على السطح.
غدا ستمطر السماء لمدة # ساعات كما يقولون.
السعر ١٢٣٤ دينارا، والخصم ١٠٪.`),
  Persian: spoken(`
لطفاً فصل # را در سه جمله خلاصه کنید.
می‌خواهم کتاب‌های قدیمی‌ام را بفروشم.
نمی‌دانم قطار ساعت ۹:۳۰ می‌آید یا ۱۰:۱۵.
در سال ۱۴۰۳ قیمت‌ها بالا رفت.`),
  Hebrew: spoken(`
אנא סכם את פרק # בשלושה משפטים.
בשנת @Y גרו בעיר # אלף איש.
מחר ירד גשם במשך # שעות, כך אומרים.
הרכבת מאחרת ב-# דקות.`),
  Hindi: spoken(`
कृपया अध्याय # का सारांश तीन वाक्यों में लिखिए।
वर्ष @Y में नगर में # हज़ार लोग रहते थे।
कल # घंटे वर्षा होगी, ऐसा कहते हैं।
पाठ ४५ सुबह ९:३० बजे शुरू होता है और ११:१५ पर समाप्त होता है।
क्‍या आप पड़ोसी को बिल्ली के बारे में पत्र लिख सकते हैं?`),
  Bengali: spoken(`
অনুগ্রহ করে অধ্যায় # তিনটি বাক্যে লিখুন।
১৯৭১ সালে দেশ স্বাধীন হয়।
আগামীকাল # ঘণ্টা বৃষ্টি হবে।`),
  Thai: spoken(`
กรุณาสรุปบทที่ # เป็นสามประโยค
ใน พ.ศ. ๒๕๖๗ มีผู้เข้าชม # พันคน
พรุ่งนี้ฝนจะตก # ชั่วโมง`),
  Chinese: spoken(`
请用三句话总结第#章。
@Y年，这座城市有#万人口。
明天预计下雨#小时。
给邻居写一封信，谈谈那只走上屋顶的猫。
订单已于１１月５日发货，共＃件，请查收。
第一季度收入增长百分之#，成本下降。
密码学是研究加密的学科。`),
  Japanese: spoken(`
第#章を三文で要約してください。
@Y年、この町には#万人が住んでいました。
明日は#時間ほど雨が降るそうです。
会議は１１月１２日１４：００からです。
ＡＢＣ株式会社の売上は①前年比増、②利益率改善、③海外展開でした。
ﾊﾝｶｸ文字のﾃｽﾄです。`),
  Korean: spoken(`
제#장을 세 문장으로 요약해 주세요.
@Y년에 이 도시에는 #만 명이 살았습니다.
내일 비가 #시간 온다고 합니다.
이웃에게 고양이에 대한 편지를 써 주세요.
회의는 오후 두 시에 시작합니다.`),
  Vietnamese: spoken(`
Hãy tóm tắt chương # trong ba câu.
Năm @Y thành phố có # nghìn người.
Ngày mai trời sẽ mưa # giờ.
Viết một bức thư cho người hàng xóm về con mèo.`),
  Turkish: spoken(`
Bölüm #'i üç cümleyle özetle.
@Y yılında şehirde # bin kişi yaşıyordu.
Yarın # saat yağmur yağacakmış.
Komşuya kedi hakkında bir mektup yaz.`),
  'with emoji': spoken(`
👩🏽‍🚀🚀 launch in # minutes!!! 🎉🎉🎉
Shopping: 🥛🥛 🍞 🥚×# 🧀
1️⃣ wash 2️⃣ cut 3️⃣ cook 4️⃣ eat 😋
🏳️‍🌈 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇫🇷 🇯🇵 flags at half past #`),
  'with marks and styles': spoken(`
The café's naïve rôle in the déjà-vu of @Y: # entrées.
𝓗𝓪𝓹𝓹𝔂 𝓫𝓲𝓻𝓽𝓱𝓭𝓪𝔂! See you at №#.
Let x₁, x₂, …, xₙ be reals with x² + y² ≤ 4π · 10⁻³.
s p a c i n g   o u t   t i t l e s   i s   a n   o l d   h a b i t
A – B – C, and # · # = more; ½ + ¼ = ¾.
Ⅳ. Chapter ⅻ, ① to ⑨, ㈱, ㎏ and ℃.`),
}
