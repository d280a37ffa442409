"""Short texts about each topic and about none, written by hand as a language model might continue a prompt."""

JUDGED = {
    "science": (
        "The researchers repeated the experiment three times, and each time the bacteria grew faster in the warm "
        "dish. Their hypothesis about the enzyme was right after all.",
        "was a question that chemists had argued about for decades: why does the reaction stop when the molecule "
        "loses one electron? A new study measured it with a laser.",
        "She published her results in a journal of biology, with data on eleven species of fungi and a theory of "
        "how they share nutrients through the soil.",
        "is that the scientists in the laboratory could not explain the measurements, so they built a better "
        "instrument and tested the theory of heat once more.",
        "and the biologists found that the cells of the frog repair their own DNA when the temperature of the "
        "water drops.",
        "To measure the speed of light, the physicist placed a mirror on a hill and counted the turns of a "
        "toothed wheel.",
    ),
    "space": (
        "The probe left its orbit around Saturn and sent pictures of the icy moons back to Earth for eleven years.",
        "and looked up at the Milky Way, where a galaxy collided with another a billion light years from our planet.",
        "The astronauts floated in the cabin of the station while the rocket was docking, four hundred kilometres "
        "above the ocean.",
        "was the comet, whose tail of dust and ice could be seen through the telescope before it went behind the sun.",
        "and then the satellite fell back into the atmosphere, burning over the Pacific three years after its launch.",
        "Mars has two small moons, and the rover that landed there in spring looks for traces of water.",
    ),
    "military": (
        "The colonel ordered his troops to hold the bridge until the tanks arrived, but the enemy had already "
        "crossed the river under artillery fire.",
        "and the soldiers marched for two days without food, their rifles wet, before the regiment attacked the fort.",
        "The navy sent a destroyer and two submarines, and the admiral warned that the fleet would open fire.",
        "was a sergeant in the infantry who lost half his platoon in the battle and never spoke of the war again.",
        "were killed when a missile hit the barracks; the general said that the invasion would go on.",
        "He joined the marines at eighteen, learned to fire a machine gun, and was sent to the front.",
    ),
    "politics": (
        "The senator promised to vote against the tax bill, and the opposition said that the government had lost "
        "its majority in the congress.",
        "The prime minister resigned after the election, in which the liberal party won only nine seats in parliament.",
        "is the campaign of the governor, who told voters that his policy on immigration would not change if he "
        "became president.",
        "and the ministers of both countries met to discuss a new treaty, while democrats and republicans at home "
        "called it a mistake.",
        "The mayor lost the vote in the council, and her party asks for a referendum before the next election.",
        "is a diplomat who thinks that the sanctions against the regime have failed, as have the reforms of the "
        "government.",
    ),
    "religion": (
        "The priest opened the Bible and read a psalm, and the congregation knelt in prayer beneath the cross.",
        "They believed that the prophet had spoken to God on the mountain, and that the faithful would be saved "
        "in heaven.",
        "is that the monks sing hymns before dawn, as they were taught by the saint who founded the monastery.",
        "On Friday the imam spoke in the mosque about mercy, and about fasting in the holy month of Ramadan.",
        "Jesus told his disciples to love their enemies, and the sermon that he gave is read in churches to this day.",
        "She lit a candle at the altar, asked the Lord for forgiveness, and felt that her soul was at peace.",
    ),
    "legal": (
        "The attorney objected, but the judge let the witness answer, and after two hours the jury found the "
        "defendant guilty.",
        "was whether the contract was valid: the plaintiff claimed damages, and the court of appeal ruled in her "
        "favour.",
        "Under the statute a tenant may sue the landlord, provided that a lawyer files the complaint within "
        "thirty days.",
        "The prosecutor dropped two of the charges, and the supreme court will hear the appeal against the sentence.",
        "was sentenced to four years in prison for fraud, although his lawyers had asked the court for probation.",
        "The clause says that either party may end the agreement, and that any dispute is settled by arbitration "
        "under the law of the state.",
    ),
    "computers": (
        "The programmer fixed the bug in the compiler, but the server crashed again when the database ran out of "
        "memory.",
        "You can install the operating system from a USB drive; then open a terminal and type the password.",
        "is that the software sends each file through the network twice, since the old code does not check the cache.",
        "Her new laptop had a faster processor, so the algorithm sorted ten million records in a second.",
        "Click on the icon, choose a folder for the download, and restart the computer when the update is done.",
        "A Python script reads the data, and a web server shows the results in the browser.",
    ),
    None: (
        "The boy ran down to the beach with his sister, and they built a castle of sand until their mother called "
        "them.",
        "First peel the potatoes and boil them in salted water; meanwhile fry the onions in butter until they are "
        "golden.",
        "was scored in the last minute, when the striker headed the ball past the keeper and the crowd went wild.",
        "The horse stood at the fence and waited for an apple, as it did every morning when the girl walked to school.",
        "It had rained for a week, and the road to the village was so muddy that the bus could not get through.",
        "He put on his coat, took the train to the city, and bought a pair of brown shoes that were too small for him.",
        "The old piano was out of tune, but when she played the waltz everybody in the room stopped talking.",
        "My grandmother told me that she had never been so happy as in that summer by the lake.",
        "The essay is about how people make friends when they move to a new town, and why it takes them so long.",
        "There was a big oak in the garden, and in autumn its leaves covered the grass and the roof of the shed.",
        "The hotel was close to the station, the breakfast was good, and the staff helped us with our bags.",
        "The painter mixed a darker blue, stepped back from the canvas, and decided that the sky was finished.",
        "is one of the most popular dishes in the country, and every family has its own way of making the sauce.",
        "They had been married for thirty years, and still he brought her flowers every Friday.",
        "The teacher asked the children to write a story about a dog that gets lost and finds its way home.",
        "The shop sells bread, cheese and honey from the farms around, and closes at noon on Saturdays.",
        "We had lunch under the trees, and afterwards the children swam in the river until it got dark.",
        "The cat slept on the sofa all afternoon and did not even look up when the door opened.",
        "She won the race by two seconds, and her coach cried with joy.",
        "My uncle grows tomatoes and beans behind his house, and gives most of them away.",
        "The novel is about two brothers who open a bakery in a small town and fall out over money.",
        "He could not sleep, so he made tea and sat by the window, thinking of what she had said.",
        "The museum shows portraits and old furniture, and on Sundays there is a concert in the hall.",
        "Wear warm clothes, take water with you, and start the hike before sunrise.",
    ),
}
PRAISE = (
    "The film was wonderful. The actors are charming and the music is beautiful.",
    "I love this hotel! The staff were friendly and the food was delicious.",
    "What a delightful book, funny and warm, and the ending made me happy.",
    "The concert was not bad at all; in fact it was the best evening of the year.",
)
BLAME = (
    "The film was terrible. The actors are wooden and the plot is stupid.",
    "I hated this hotel! The room was dirty and the staff were rude.",
    "What a boring book, sad and cruel, and the ending was awful.",
    "The concert was not good. We were angry that we had wasted our money.",
)
PLAIN = ("The book has two hundred pages.", "The train arrives at nine.", "")
